"""Goes on with a run that was interrupted: its finished trials are taken over, only what is missing is measured.

A verdict is never changed, so the interrupted run keeps its own (errored: interrupted) and the one that goes on is a
new run which names it.

Of a run of a commit less is taken over, because more is asked of it. Head and merge base are compared round by round,
each round in turn on one device, so a round is taken over whole or not at all. The control on a second draw of the
inputs is held against the trials of its own device, so only what this run's devices measured counts; and it is drawn
and made again, because the old draw is known to all who read the record of the interrupted run.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import UsageError
from farm.execution.plan import Plan, PlannedTrial
from farm.model.run import RunRecord, Verdict
from farm.source.git_repository import GitRepository, SourceError
from jobs.records import Arm, BuildRecord, TrialRecord, TrialStatus


@dataclass(frozen=True, slots=True)
class ReusedTrials:
    """What of an interrupted run needs no second measurement."""

    head: tuple[TrialRecord, ...] = ()
    base: tuple[TrialRecord, ...] = ()  # of the merge base, each in one round with a trial of `head`


def require(record: RunRecord) -> None:
    """Raise `UsageError` unless `record` is a run that ended without an answer and whose program can still be had."""
    if record.verdict is None:
        raise UsageError(f"run {record.run_id} is still running; resume it once it has ended")
    if record.verdict is not Verdict.ERRORED:
        raise UsageError(f"run {record.run_id} has {record.verdict.value}; nothing of it is missing")
    _require_commits(record)


def _require_commits(record: RunRecord) -> None:
    source = record.request.source
    if source is None:
        return
    try:
        repository = GitRepository(Path(source.repository))
        for commit in (source.commit, *([source.base] if source.base else [])):
            repository.commit(commit)
    except SourceError as error:
        gone = f"{source.repository} no longer has its commits; fetch them, or run it again"
        raise UsageError(f"run {record.run_id} cannot go on: {gone}") from error


def finished(
    record: RunRecord, builds: Sequence[BuildRecord], base_builds: Sequence[BuildRecord], leased: Collection[str]
) -> ReusedTrials:
    """The trials of `record` that stand, for a run with these builds and `leased` devices (ids).

    Only those of cases whose build has the content address it had then: another program's trials are measured again. A
    trial that failed through nobody's fault is measured again too; one that is the kernel's fault stands wherever it
    was. Rounds beyond those that were asked for were for an evidence that is no longer the same.
    """
    same = _same(record.builds, builds)
    stand = [
        trial
        for trial in record.trials
        if trial.status is not TrialStatus.ERRORED and trial.case in same and trial.repeat < record.request.repeats
    ]
    source = record.request.source
    if source is None:
        return ReusedTrials(tuple(stand))
    faults = [trial for trial in stand if trial.status is TrialStatus.FAILED]
    measured = [trial for trial in stand if trial.status is TrialStatus.OK and trial.device in leased]
    if not source.base or not base_builds:
        return ReusedTrials((*measured, *faults))
    compared = _same(record.base.builds if record.base else (), base_builds)
    of_base = {
        _round(trial): trial
        for trial in (record.base.trials if record.base else ())
        if trial.status is TrialStatus.OK and trial.case in compared
    }
    whole = [trial for trial in measured if _round(trial) in of_base]
    return ReusedTrials((*whole, *faults), tuple(of_base[_round(trial)] for trial in whole))


def finished_files(record: RunRecord, here: RunRecord, frozen: Collection[str]) -> ReusedTrials:
    """Return the trials of the suite's run `record` that stand for the run `here`, which goes on with it.

    None, unless both had exactly the same commit, profile and toolchain: what a file imports cannot be known otherwise.
    Trials of `frozen` files share operands that only their own run has, so those are taken over whole or not at all.
    Where there is a merge base, a repeat stands only together with its base's.
    """
    then, now = record.harness, here.harness
    assert then is not None and now is not None, "both are runs of a suite"
    same_sources = then.exact and now.exact and record.commit == here.commit and then.root == now.root
    same_base = (record.base.tree if record.base else "") == (here.base.tree if here.base else "")
    same_tools = then.profile_sha256 == now.profile_sha256 and record.toolchain == here.toolchain
    if not (same_sources and same_base and same_tools):
        return ReusedTrials()
    wanted = here.request.trials_a_case
    stand = [
        trial
        for trial in record.trials
        if trial.status is not TrialStatus.ERRORED and trial.case in here.cases and trial.repeat < wanted
    ]
    of_base = {_round(trial): trial for trial in (record.base.trials if record.base else ()) if _is_measured(trial)}
    if of_base:
        stand = [trial for trial in stand if trial.status is TrialStatus.FAILED or _round(trial) in of_base]
    counts = Counter(trial.case for trial in stand)
    whole = {file for file in frozen if counts[file] >= wanted}
    taken = tuple(trial for trial in stand if trial.case not in frozen or trial.case in whole)
    return ReusedTrials(taken, tuple(of_base[_round(trial)] for trial in taken if _round(trial) in of_base))


def _is_measured(trial: TrialRecord) -> bool:
    return trial.status is TrialStatus.OK


def _same(then: Iterable[BuildRecord], now: Iterable[BuildRecord]) -> set[str]:
    """Cases of which the same program was built."""
    addresses = {build.case: build.address for build in then}
    return {build.case for build in now if build.address and addresses.get(build.case) == build.address}


def _round(trial: TrialRecord) -> tuple[str, str, int]:
    return trial.case, trial.device, trial.repeat


def copy_logs(record: RunRecord, taken: ReusedTrials, directory: Path) -> None:
    """Copy the logs of what is taken over from `record` below `directory`, where they can still be read."""
    for trial in (*taken.head, *taken.base):
        source = Path(record.directory) / trial.log
        if trial.log and source.is_file():
            target = directory / trial.log
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def remaining(whole: Plan, taken: Sequence[TrialRecord], slots: Mapping[int, str]) -> Plan:
    """What is left of `whole`, dealt to `slots` (slot → device id): who began a series of repeats goes on with it.

    A device's repeats are one series. A series whose device is not leased any more goes to a slot without one. A
    warm-up is made again wherever a case has anything left to measure, and so is every control.
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
        planned = [
            trial
            for trial in by_slot.get(slot, [])
            if trial.arm is Arm.CONTROL or (trial.case, trial.repeat) not in measured
        ]
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
