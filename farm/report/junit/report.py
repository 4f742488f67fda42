"""`junit.xml`, as CI servers read it: a suite per device slot, one for each gate that looks across devices, and,
where the program comes from a commit, one about where from and one of its merge base.

`<failure>` is the kernel's fault, `<error>` the farm's or a device's; what did not apply is `<skipped>` with
the reason. The order and the required parts are those of the common Ant schema: properties, test cases, system-out,
system-err; host name, timestamp without a zone, package and a running id on every suite.
"""

from __future__ import annotations

import junitparser

from farm.analysis.figures import gate, stood_in_for
from farm.model.run import Finding, GateRecord, GateStatus, RunRecord, Verdict
from farm.report.harness import junit
from farm.report.junit import program
from farm.report.junit.cases import PASSED, CaseOutcome, case_of, suite_of
from farm.report.junit.document import document, slot_label
from farm.report.junit.elements import JunitSuite
from farm.text import outliers_of
from jobs.records import BuildRecord, Failure, Fault, OutputRecord, TrialRecord, TrialStatus

_ACROSS = ("determinism", "budget")  # gates with a suite of their own even where nobody ran them


class JunitReport:
    """Writes JUnit XML through junitparser."""

    name = "junit"
    filename = "junit.xml"

    def write(self, record: RunRecord) -> bytes:
        """The whole document as UTF-8."""
        if record.harness is not None:
            return junit.document(record, record.harness)
        suites = [_device_suite(record, device, number) for number, device in enumerate(_device_ids(record))]
        suites += [_gate_suite(record, name) for name in _gate_names(record)]
        suites += program.suites(record)
        suites += _run_suite(record, suites)
        return document(suites)


def _device_ids(record: RunRecord) -> list[str]:
    """Every device held or named by a trial; one "" where builds have no device to be shown under."""
    ids = dict.fromkeys([held.id for held in record.devices] + [trial.device for trial in record.trials])
    return [*ids] or ([""] if record.builds else [])


def _device_suite(record: RunRecord, device: str, number: int) -> JunitSuite:
    """What happened on the device that the run got as its `number`th."""
    held = next((held for held in record.devices if held.id == device), None)
    trials = [trial for trial in record.trials if trial.device == device]
    properties = {"device": device} if device else {}
    if held:
        properties |= {"node": held.node, "index": str(held.index), "soc": held.soc}
        properties |= {"isolation": held.isolation} if held.isolation else {}
    for case in record.cases:
        samples = [str(trial.wall_us) for trial in trials if trial.case == case and trial.wall_us is not None]
        properties[f"samples_us.{case}"] = " ".join(samples)
    slot = slot_label(number, record.request.devices) if device else ""
    cases = [_build_case(record, build, slot, counted=not number) for build in record.builds]
    cases += [case for trial in trials for case in _trial_cases(record, trial, slot)]
    return suite_of(record, slot or "build", held.node if held else "", properties, cases)


def _build_case(record: RunRecord, build: BuildRecord, slot: str, counted: bool) -> junitparser.TestCase:
    """A build is shared by the devices, so its time counts in one suite, and where the cache had it in none."""
    seconds = build.build_s if counted and not build.cached else 0.0
    outcome = _of_failure(build.failure) if build.failure else PASSED
    return case_of(record, build.case, f"{slot}/build" if slot else "build", seconds, outcome)


def _trial_cases(record: RunRecord, trial: TrialRecord, slot: str) -> list[junitparser.TestCase]:
    """One test case per output; one for the trial itself where it has none or did not run to the end."""
    prefix = f"{slot}/r{trial.repeat}" + (f" attempt {trial.attempt}" if trial.attempt else "")
    seconds = trial.host_s / (len(trial.outputs) or 1)
    cases = [
        case_of(record, trial.case, f"{prefix}/tolerance/{name}", seconds, _of_output(record, trial, name, output))
        for name, output in trial.outputs.items()
    ]
    if trial.status is not TrialStatus.OK:
        cases.append(
            case_of(record, trial.case, f"{prefix}/trial", 0.0 if cases else seconds, _of_trial(record, trial))
        )
    elif not cases:
        cases.append(case_of(record, trial.case, f"{prefix}/tolerance", seconds, _without_outputs(record)))
    return cases


def _of_trial(record: RunRecord, trial: TrialRecord) -> CaseOutcome:
    outcome = (
        _of_failure(trial.failure) if trial.failure else CaseOutcome(GateStatus.ERRORED, "farm", "no reason recorded")
    )
    if trial.status is TrialStatus.ERRORED and stood_in_for(record, trial):
        return CaseOutcome(GateStatus.NOT_APPLICABLE, "moved", f"measured on another device instead: {outcome.message}")
    return outcome


def _of_failure(failure: Failure) -> CaseOutcome:
    status = GateStatus.FAILED if failure.fault is Fault.KERNEL else GateStatus.ERRORED
    log = f" (log: {failure.log})" if failure.log else ""
    return CaseOutcome(status, f"{failure.fault.value}/{failure.kind}", failure.message + log)


def _of_output(record: RunRecord, trial: TrialRecord, name: str, output: OutputRecord) -> CaseOutcome:
    """Out of tolerance is the kernel's fault unless the gate, which does not believe a suspect device, left it out."""
    tolerance = output.tolerance
    if tolerance.passed:
        return PASSED
    message = tolerance.problem or (
        f"{outliers_of(output)}; "
        f"worst |error| {tolerance.max_abs_err} at {tolerance.worst_index}; {tolerance.nonfinite} NaN or Inf"
    )
    judged = gate(record, "tolerance")
    place = (trial.case, trial.device, trial.repeat, name)
    named = judged is None or any(
        (finding.case, finding.device, finding.repeat, finding.output) == place for finding in judged.findings
    )
    if named:
        return CaseOutcome(GateStatus.FAILED, "kernel/tolerance", message)
    return CaseOutcome(GateStatus.ERRORED, "device/suspect", f"not held against the kernel: {message}")


def _without_outputs(record: RunRecord) -> CaseOutcome:
    judged = gate(record, "tolerance")
    if judged is None or judged.status is GateStatus.PASSED:
        return CaseOutcome(GateStatus.NOT_APPLICABLE, "not-applicable", "the trial recorded no output")
    return _of_gate(judged, judged.findings[:1])


def _gate_names(record: RunRecord) -> list[str]:
    found = [judged.name for judged in record.gates if judged.name not in ("tolerance", *_ACROSS)]
    return [*_ACROSS, *found]


def _gate_suite(record: RunRecord, name: str) -> JunitSuite:
    """A case per kernel case, for determinism per output of it; findings that fit none of them get one of their own."""
    judged = gate(record, name)
    slots: list[tuple[str, str | None]] = [(case, None) for case in record.cases]
    if name == "determinism":
        slots = [(case, output) for case in record.cases for output in _outputs(record, case) or [None]]
    cases = []
    left = list(judged.findings) if judged else []
    for case, output in slots:
        fitting = [finding for finding in judged.findings if _fits(finding, case, output)] if judged else []
        left = [finding for finding in left if finding not in fitting]
        cases.append(case_of(record, case, f"{name}/{output}" if output else name, 0.0, _of_gate(judged, fitting)))
    if judged and left:
        cases.append(case_of(record, "run", name, 0.0, _of_gate(judged, left)))
    return suite_of(record, name, "", {}, cases)


def _outputs(record: RunRecord, case: str) -> list[str | None]:
    return list(dict.fromkeys(name for trial in record.trials if trial.case == case for name in trial.outputs))


def _fits(finding: Finding, case: str, output: str | None) -> bool:
    return finding.case in (None, case) and (output is None or finding.output in (None, output))


def _of_gate(judged: GateRecord | None, findings: list[Finding]) -> CaseOutcome:
    """What a gate says of one test case. A gate with findings speaks only where they point."""
    if judged is None:
        return CaseOutcome(GateStatus.NOT_APPLICABLE, "not-judged", "the run ended before this gate")
    if judged.findings and not findings:
        return PASSED
    by_weight = (GateStatus.FAILED, GateStatus.ERRORED, GateStatus.INCONCLUSIVE, GateStatus.NOT_APPLICABLE)
    said = {finding.status or judged.status for finding in findings} or {judged.status}
    status = next((status for status in by_weight if status in said), GateStatus.PASSED)
    lines = [f"{finding.device}: {finding.message}" if finding.device else finding.message for finding in findings]
    return CaseOutcome(status, f"gate/{status.value}", "\n".join(lines) or f"{judged.name} {status.value}")


def _run_suite(record: RunRecord, suites: list[JunitSuite]) -> list[JunitSuite]:
    """Faults of no single trial, and the verdict itself where no test case shows why the run did not pass."""
    cases = [
        case_of(record, "run", f"fault {number}", 0.0, _of_failure(failure))
        for number, failure in enumerate(record.failures)
    ]
    shown = [case for suite in suites for case in suite] + cases
    red = {
        Verdict.PASSED: True,
        Verdict.FAILED: any(case.is_failure for case in shown),
        Verdict.ERRORED: any(case.is_error for case in shown),
    }
    if record.verdict is None or not red[record.verdict]:
        status = GateStatus.FAILED if record.verdict is Verdict.FAILED else GateStatus.ERRORED
        word = record.verdict.value if record.verdict else "unfinished"
        cases.append(case_of(record, "run", "verdict", 0.0, CaseOutcome(status, f"verdict/{word}", record.reason)))
    return [suite_of(record, "run", "", {}, cases)] if cases else []
