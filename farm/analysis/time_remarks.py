"""What a report says of the times of a case or of a suite's file, beside their median: outliers, lost ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from farm.stats.robust import of_devices
from farm.text import counted, microseconds
from jobs.records import TrialRecord, TrialStatus
from kernel.clock import Clock
from kernel.outliers import outliers

_NAMED = 3  # outliers in one remark; the record has every time


def remarks(trials: Sequence[TrialRecord]) -> list[str]:
    """Return the remarks on the trials of one file, each in a few words."""
    measured = [trial for trial in trials if trial.status is TrialStatus.OK]
    return [*_untimed(measured), *odd_trials(measured), *_odd_rounds(measured)]


def odd_trials(trials: Sequence[TrialRecord]) -> list[str]:
    """Return the outliers among the measured times of `trials`; an exact clock has none."""
    timed = [(t, t.wall_us) for t in trials if t.repeat >= 0 and t.clock is Clock.MEASURED and t.wall_us is not None]
    shares = of_devices([(trial.device, us) for trial, us in timed])
    odd = [timed[place] for place in outliers(shares)]
    if not odd:
        return []
    named = [f"{microseconds(us)} µs on {trial.device}, repeat {trial.repeat}" for trial, us in odd]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    verb = "is an outlier" if len(odd) == 1 else "are outliers"
    return [f"{len(odd)} of {counted(len(timed), 'time')} {verb}: {'; '.join(named[:_NAMED])}{more}"]


def _odd_rounds(trials: Iterable[TrialRecord]) -> list[str]:
    """The outliers among the rounds that single trials have printed."""
    told = [
        (printed, f"{trial.device}, repeat {trial.repeat}")
        for trial in trials
        if trial.clock is Clock.MEASURED
        for printed in trial.times_us.values()
        if printed.outliers
    ]
    if not told:
        return []
    (first, where), rest = told[0], len(told) - 1
    verb = "is an outlier" if first.outliers == 1 else "are outliers"
    shown = ", ".join(microseconds(us) for us in first.outliers_us[:_NAMED])
    more = f"; likewise in {counted(rest, 'further trial')}" if rest else ""
    return [f"{first.outliers} of {counted(first.rounds, 'round')} {verb} ({shown} µs on {where}){more}"]


def _untimed(measured: Sequence[TrialRecord]) -> list[str]:
    why = [trial.untimed for trial in measured if trial.untimed]
    return [f"{len(why)} of {len(measured)} without a time: {why[0]}"] if why else []
