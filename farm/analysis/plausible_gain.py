"""Whether a commit is faster than before by more than the history makes plausible. Pure functions.

A time is what a process of the commit says of itself, as far as nobody can compute it again. A gain that the history of
the case makes unlikely is therefore no failure, but a person looks at the program before it is merged.

The limit on the gain, as a share of the time before, comes from the commits of the main line that were measured with
the same toolchain: `FACTOR` times the largest gain that one of them brought, but at least `LEAST` and at most `MOST`. A
gain that was beyond the limit of its own day raises none: one run that nobody believed cannot make the next one
plausible. A line without a gain has the limit `LEAST`. Where there is no time before, nothing is held: it is a first
measurement.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.model.run import GainRecord, MedianRecord, RunRecord
from farm.stats.robust import median
from farm.text import counted, microseconds, share
from jobs.records import TrialRecord, TrialStatus
from kernel.clock import Clock

LEAST = 0.25  # of the time before: what one commit may always save
MOST = 0.5  # half of it is never saved unseen, whatever commits before have saved
FACTOR = 1.5  # how much larger than the largest gain so far the next one may be


@dataclass(frozen=True, slots=True)
class LandedTime:
    """What one commit of the main line took in a run that passed, with the toolchain of the run that asks."""

    commit: str
    median_us: Mapping[str, float]  # by case


def gains(
    medians: Mapping[str, MedianRecord], base: Sequence[TrialRecord], landed: Sequence[LandedTime], clock: Clock
) -> list[GainRecord]:
    """Return how much faster each case is than before.

    Args:
        medians: Case → what the head took.
        base: Trials of the merge base in the same run, which come before any other time.
        landed: Commits of the main line, oldest first.
        clock: Of all times.
    """
    found = []
    for case, of_head in medians.items():
        if of_head.overall is None:
            continue
        line = [each.median_us[case] for each in landed if case in each.median_us]
        measured = [
            trial.wall_us
            for trial in base
            if trial.case == case and trial.status is TrialStatus.OK and trial.wall_us is not None
        ]
        before = median(measured) if measured else line[-1] if line else None
        found.append(
            GainRecord(
                case=case,
                clock=clock,
                before_us=before,
                after_us=of_head.overall,
                landed=len(line),
                largest_gain=_largest(line),
            )
        )
    return found


def limit(gain: GainRecord, least: float = LEAST) -> float:
    """Return the share of the time before up to which `gain` is plausible."""
    return _limit(gain.largest_gain, least)


def implausible(record: RunRecord, least: float = LEAST) -> list[str]:
    """Return one line for each case of a commit that gains more than is plausible."""
    return [_reason(gain, least) for gain in _of(record) if _saved(gain) > limit(gain, least)]


def unknown(record: RunRecord) -> list[str]:
    """Return one line for the cases of a commit that were never measured before, so that no gain can be judged."""
    first = [gain.case for gain in _of(record) if gain.before_us is None]
    return [f"first measurement of {', '.join(first)}: there is no time to hold it against"] if first else []


def _largest(line: Sequence[float]) -> float:
    """The largest share that one commit of a line saved, of those that were plausible when they came."""
    largest = 0.0
    for before, after in itertools.pairwise(line):
        saved = 1 - after / before
        if saved <= _limit(largest, LEAST):
            largest = max(largest, saved)
    return largest


def _limit(largest_gain: float, least: float) -> float:
    return max(least, min(MOST, FACTOR * largest_gain))


def _of(record: RunRecord) -> list[GainRecord]:
    return record.source.gains if record.source is not None else []


def _saved(gain: GainRecord) -> float:
    return 0.0 if gain.before_us is None else 1 - gain.after_us / gain.before_us


def _reason(gain: GainRecord, least: float) -> str:
    past = f"the largest gain of {counted(gain.landed, 'landed commit')} is {share(gain.largest_gain)}"
    if gain.landed < 2:
        past = "no history of landed commits says otherwise"
    return (
        f"{gain.case} takes {microseconds(gain.after_us)} µs instead of {microseconds(gain.before_us)} µs, "
        f"{share(_saved(gain))} less; more than {share(limit(gain, least))} is implausible: {past}"
    )
