"""Whether what a gate found is the program's doing or one device's, as far as the trials tell, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from farm.analysis.figures import measured
from farm.model.run import GateRecord, GateStatus, RunRecord
from farm.text import counted, one_line, outliers_of
from jobs.records import OutputRecord, TrialRecord

_SHOWN = 8  # devices by name


def attribution(record: RunRecord, judged: GateRecord) -> list[str]:
    """One sentence for each case and output in which the tolerance or the determinism gate found something wrong."""
    say = {"tolerance": _who_is_wrong, "determinism": _how_wrong}.get(judged.name)
    if say is None:
        return []
    places = dict.fromkeys((found.case, found.output) for found in judged.findings if found.case and found.output)
    said = [sentence for case, output in places if (sentence := say(measured(record, case), output))]
    return said + _left_out(judged)


def _who_is_wrong(trials: Sequence[TrialRecord], output: str) -> str:
    """Of a wrong output, on which devices it is wrong and whether they agree."""
    wrong = {trial.device for trial, found in _held(trials, output) if not found.tolerance.passed}
    right = {trial.device for trial, found in _held(trials, output)} - wrong
    if not wrong:
        return ""
    name = one_line(output)
    if right:
        only = "only on" if len(right) >= len(wrong) else "on"
        return f"Output {name} is wrong {only} {_named(wrong)}; {_named(right)} computed it within its tolerance."
    digests = {found.sha256 for _, found in _held(trials, output)}
    if len(wrong) == 1:
        return ""
    alike = "the same wrong bits" if len(digests) == 1 else f"{len(digests)} different results"
    blamed = ": it is the program, not a device" if len(digests) == 1 else ", none of them right"
    return f"Output {name} is wrong on all {len(wrong)} devices, with {alike}{blamed}."


def _how_wrong(trials: Sequence[TrialRecord], output: str) -> str:
    """Of an output whose bits differ, whether its numbers are wrong as well."""
    held = _held(trials, output)
    wrong = [(trial, found) for trial, found in held if not found.tolerance.passed]
    name = one_line(output)
    if not wrong:
        return f"Every result of output {name} is within its tolerance; only the bits differ." if held else ""
    worst = max((found for _, found in wrong), key=lambda found: found.tolerance.outlier_share)
    return (
        f"Output {name} is also outside its tolerance on {_named({trial.device for trial, _ in wrong})}: "
        f"{outliers_of(worst)}."
    )


def _left_out(judged: GateRecord) -> list[str]:
    """Why the other gates may have passed in spite of what a suspect device computed."""
    errored = [found for found in judged.findings if (found.status or judged.status) is GateStatus.ERRORED]
    suspects = {found.device for found in errored if found.device}
    if judged.name != "determinism" or not suspects:
        return []
    they = "it is" if len(suspects) == 1 else "they are"
    return [f"The other gates leave out {_named(suspects)}: {they} suspect, which is not held against the kernel."]


def _held(trials: Sequence[TrialRecord], output: str) -> list[tuple[TrialRecord, OutputRecord]]:
    return [(trial, trial.outputs[output]) for trial in trials if output in trial.outputs]


def _named(devices: set[str]) -> str:
    if len(devices) > _SHOWN:
        return counted(len(devices), "device")
    return ", ".join(one_line(device) for device in sorted(devices))
