"""What becomes of each file of a harness's run, and of the run."""

from __future__ import annotations

import pytest

from farm.gates.claims import ClaimGate
from farm.gates.determinism import DeterminismGate
from farm.gates.protocol import Evidence
from farm.harness.verdict import file_records, verdict
from farm.model.run import FileRecord, FileStatus, GateStatus, Verdict
from jobs.records import ClaimRecord, Failure, Fault, TrialRecord, TrialStatus
from kernel.clock import Clock
from kernel.harness.head import Head
from tests.farm.evidence import planned_for

HEAD = Head(runnable=True, devices=1, skipped="", replays=False)
RIGHT, WRONG = ClaimRecord(passed=True), ClaimRecord(passed=False, wrong=3, total=10, first="[1] 2 for 3")


def trial(device: str = "n/0", repeat: int = 0, **more: object) -> TrialRecord:
    return TrialRecord.model_validate(
        {"case": "a.py", "device": device, "repeat": repeat, "attempt": 0, "status": "ok", "clock": "simulated", **more}
    )


def evidence(*trials: TrialRecord, **more: object) -> Evidence:
    outputs = {"a.py": tuple(dict.fromkeys(name for each in trials for name in each.claims))}
    return Evidence(("a.py",), Clock.SIMULATED, True, trials, outputs, planned_for(trials), **more)  # type: ignore[arg-type]


def judged(*trials: TrialRecord, guilt: tuple[Failure, ...] = (), repeats: int = 1) -> FileRecord:
    gates = [ClaimGate().judge(evidence(*trials))]
    return file_records({"a.py": HEAD}, {}, trials, gates, {"a.py": guilt}, {"a.py": repeats}, "not reached")[0]


def test_a_file_whose_outputs_all_pass_has_passed() -> None:
    record = judged(trial(claims={"y": RIGHT, "z": RIGHT}))

    assert (record.status, record.reason) == (FileStatus.PASSED, "2 outputs in 1 trial")


def test_a_file_that_passed_without_a_time_says_how_often_and_why() -> None:
    timed = trial(claims={"y": RIGHT}, wall_us=5.0)
    untimed = trial(repeat=1, claims={"y": RIGHT}, untimed="the run left no recording")

    assert judged(timed, untimed, repeats=2).reason == (
        "1 output in 2 trials; 1 of 2 without a time: the run left no recording"
    )


def test_one_wrong_output_fails_the_file_and_says_which() -> None:
    record = judged(trial(claims={"y": RIGHT, "z": WRONG}))

    assert record.status is FileStatus.FAILED
    assert record.reason == "tolerance: output z: 3 of 10 elements are wrong; the first: [1] 2 for 3"


def test_what_is_proven_to_be_the_files_fault_fails_it() -> None:
    guilt = Failure(fault=Fault.KERNEL, kind="hang", message="hang in case a.py on 2 devices")

    assert judged(guilt=(guilt,)).reason == "hang in case a.py on 2 devices"


def test_a_lost_trial_is_errored_though_the_others_passed() -> None:
    lost = Failure(fault=Fault.NODE, kind="disk-full", message="No space left on device")
    failed = trial(repeat=1, status="errored", failure=lost)

    record = judged(trial(claims={"y": RIGHT}), failed, repeats=2)

    assert record.status is FileStatus.ERRORED
    assert record.reason == "1 of 2 trials were lost; disk-full: No space left on device"


def test_a_file_that_was_not_reached_is_errored() -> None:
    assert (judged().status, judged().reason) == (FileStatus.ERRORED, "not reached")


@pytest.mark.parametrize(
    ("statuses", "found", "told"),
    [
        (("passed", "passed", "skipped"), Verdict.PASSED, "2 passed, 1 skipped of 3 files"),
        (("passed", "errored", "failed"), Verdict.FAILED, "1 passed, 1 failed, 1 errored of 3 files; 2.py: why"),
        (("passed", "errored"), Verdict.ERRORED, "1 passed, 1 errored of 2 files; 1.py: why"),
        (("skipped",), Verdict.ERRORED, "nothing was measured: 1 skipped of 1 file"),
        ((), Verdict.ERRORED, "nothing was measured: no file of 0 files"),
        (("failed",) * 5, Verdict.FAILED, "5 failed of 5 files; 0.py: why; 1.py: why; 2.py: why; and 2 more"),
    ],
)
def test_the_gravest_file_decides(statuses: tuple[str, ...], found: Verdict, told: str) -> None:
    files = [
        FileRecord(file=f"{number}.py", status=FileStatus(status), reason="why")
        for number, status in enumerate(statuses)
    ]

    assert verdict(files) == (found, told)


def test_a_case_without_a_trusted_trial_is_errored() -> None:
    assert ClaimGate().judge(evidence()).status is GateStatus.ERRORED
    assert ClaimGate().judge(evidence(trial(claims={"y": RIGHT}), suspects={"a.py": frozenset({"n/0"})})).status is (
        GateStatus.ERRORED
    )


def test_an_output_that_one_trial_did_not_compare_is_errored() -> None:
    record = ClaimGate().judge(evidence(trial(claims={"y": RIGHT, "z": RIGHT}), trial(repeat=1, claims={"y": RIGHT})))

    assert record.status is GateStatus.ERRORED
    assert [(finding.output, finding.repeat) for finding in record.findings] == [("z", 1)]


def test_determinism_does_not_pass_where_no_bits_are_kept() -> None:
    why = {"a.py": "the harness keeps no outputs"}
    record = DeterminismGate().judge(
        evidence(trial(claims={"y": RIGHT}), trial(repeat=1, claims={"y": RIGHT}), incomparable=why)
    )

    assert record.status is GateStatus.NOT_APPLICABLE
    assert record.findings[0].message == "the harness keeps no outputs"


def test_kept_bits_that_differ_are_a_race() -> None:
    trials = [trial(repeat=number, claims={"y": RIGHT.model_copy(update={"sha256": str(number)})}) for number in (0, 1)]

    assert DeterminismGate().judge(evidence(*trials)).status is GateStatus.FAILED
    assert trials[0].status is TrialStatus.OK
