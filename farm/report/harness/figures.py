"""What every report of a harness's run shows of a file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from farm.analysis.time_remarks import remarks
from farm.model.run import FileRecord, FileStatus, HarnessRecord, RunRecord, SetupRecord
from farm.stats.robust import median
from jobs.records import Arm, TrialRecord, TrialStatus
from kernel.harness.step_record import SetupStep

_GRAVEST_FIRST = (FileStatus.FAILED, FileStatus.ERRORED, FileStatus.PASSED, FileStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class FileFigures:
    """One file in a table."""

    file: FileRecord
    time: str  # µs: "540.00", "38.50 host", "1: 540.00, 2: 9,100.00", "–"
    devices: tuple[str, ...]  # that ran it, in order
    host_s: float
    trials: tuple[TrialRecord, ...]  # every attempt
    remarks: tuple[str, ...]  # on its times

    @property
    def told(self) -> str:
        """Why the file ended so, and what the merge base made of it."""
        return f"{self.file.reason}; {self.file.base}" if self.file.base else self.file.reason


def of(record: RunRecord, harness: HarnessRecord) -> list[FileFigures]:
    """Every file, the gravest first."""
    by_file: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in record.trials:
        by_file[trial.case].append(trial)
    rows = []
    for file in harness.files:
        trials = tuple(by_file[file.file])
        devices = tuple(dict.fromkeys(name for trial in trials for name in (trial.device, *trial.beside)))
        took_s = sum(trial.host_s for trial in trials)
        rows.append(FileFigures(file, _time(trials, harness.timing), devices, took_s, trials, tuple(remarks(trials))))
    return sorted(rows, key=lambda row: (_GRAVEST_FIRST.index(row.file.status), row.file.file))


def set_up(harness: HarnessRecord) -> list[tuple[str, str, str]]:
    """Return name, outcome and log of each set-up step, in words; the machine where there are several."""
    several = len({step.machine for step in harness.setup}) > 1
    rows = []
    for step in harness.setup:
        whose = " of the merge base" if step.arm is Arm.BASE else ""
        where = f" on {step.machine}" if several else ""
        rows.append((f"{step.name}{whose}{where}", outcome_of(step), step.log))
    return rows


def outcome_of(step: SetupRecord | SetupStep) -> str:
    """Return how a set-up step ended, in a few words."""
    if step.problem:
        return f"failed: {step.problem}"
    if step.skipped:
        return "skipped, what it makes is present"
    if not step.address:
        return "activates only"
    return f"cached, took {step.seconds:.1f} s" if step.cached else f"{step.seconds:.1f} s"


def _time(trials: tuple[TrialRecord, ...], timing: str) -> str:
    """The median over the trials. What is not measured says so; several modes are not mixed."""
    measured = [trial for trial in trials if trial.status is TrialStatus.OK]
    kind = "" if timing == "measured" else f" {timing}"
    single = [us for trial in measured if (us := trial.simulator_us if timing == "host" else trial.wall_us) is not None]
    if single:
        return f"{median(single):,.2f}{kind}"
    modes = dict.fromkeys(mode for trial in measured for mode in trial.times_us)
    medians = {
        mode: median([trial.times_us[mode].median_us for trial in measured if mode in trial.times_us]) for mode in modes
    }
    return ", ".join(f"{mode}: {us:,.2f}" for mode, us in medians.items()) + kind if medians else "–"
