"""Goes on with a run that was interrupted: its finished trials are taken over, only what is missing is measured.

A verdict is never changed, so the interrupted run keeps its own (errored: interrupted) and the one that goes on is a
new run which names it.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from farm.errors import UsageError
from farm.plan import Plan, PlannedTrial
from farm.record import RunRecord, Verdict
from jobs.records import BuildRecord, TrialRecord, TrialStatus


def require(record: RunRecord) -> None:
    """Raise `UsageError` unless `record` is a run that ended without an answer about the kernel."""
    if record.harness is not None:
        raise UsageError(f"run {record.run_id} is a harness's; run its files again with farm run --harness")
    if record.verdict is None:
        raise UsageError(f"run {record.run_id} is still running; resume it once it has ended")
    if record.request.source is not None and record.request.source.base:
        raise UsageError(f"run {record.run_id} measured head and base in turn, which cannot go on later; run it again")
    if record.verdict is not Verdict.ERRORED:
        raise UsageError(f"run {record.run_id} has {record.verdict.value}; nothing of it is missing")


def take_over(record: RunRecord, builds: list[BuildRecord], directory: Path) -> list[TrialRecord]:
    """The finished trials of `record`, with their logs copied below `directory` where they can still be read.

    Only trials of cases whose build has the content address it had then: another program's trials are measured again.
    A trial that failed through nobody's fault is measured again too; one that is the kernel's fault stands.
    """
    then = {build.case: build.address for build in record.builds}
    same = {build.case for build in builds if build.address and then.get(build.case) == build.address}
    taken = [trial for trial in record.trials if trial.status is not TrialStatus.ERRORED and trial.case in same]
    for trial in taken:
        source = Path(record.directory) / trial.log
        if trial.log and source.is_file():
            target = directory / trial.log
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return taken


def remaining(whole: Plan, taken: list[TrialRecord], slots: Mapping[int, str]) -> Plan:
    """What is left of `whole`, dealt to `slots` (slot → device id): who began a series of repeats goes on with it.

    A device's repeats are one series. A series whose device is not leased any more goes to a slot without one. A
    warm-up is made again wherever a case has anything left to measure.
    """
    if not taken:
        return whole
    done: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for trial in taken:
        done[trial.device].add((trial.case, trial.repeat))
    series = _dealt(list(done), slots)
    trials = []
    by_slot = whole.by_slot()
    for slot in slots:
        measured = done.get(series.get(slot, ""), set())
        planned = [trial for trial in by_slot.get(slot, []) if (trial.case, trial.repeat) not in measured]
        trials.extend(_with_needed_warm_ups(planned))
    return replace(whole, trials=tuple(trials))


def _dealt(devices: list[str], slots: Mapping[int, str]) -> dict[int, str]:
    """Slot → the device whose series it goes on with."""
    series = {slot: device for slot, device in slots.items() if device in devices}
    homeless = [device for device in devices if device not in series.values()]
    free = [slot for slot in slots if slot not in series]
    series.update(zip(free, homeless, strict=False))
    return series


def _with_needed_warm_ups(planned: list[PlannedTrial]) -> list[PlannedTrial]:
    wanted = {trial.case for trial in planned if trial.repeat >= 0}
    return [trial for trial in planned if trial.case in wanted]
