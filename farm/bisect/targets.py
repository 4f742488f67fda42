"""What a commit is asked where it has several targets, and what their answers make of it. Pure.

The gravest answer of a target is the commit's: one that is bad makes it bad, then one that cannot be judged makes it
one that cannot be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farm.bisect.metrics import Judged, Metric, Wanted
from farm.model.bisect import Answer
from farm.text import counted
from jobs.records import TrialRecord

_GRAVEST = (Answer.BAD, Answer.SKIPPED)


@dataclass(frozen=True, slots=True)
class CommitMetric:
    """One metric, asked of each target of a commit."""

    each: Metric

    @property
    def paired(self) -> bool:
        """Whether the good commit runs beside each one, so that it needs no test of its own."""
        return self.each.paired

    def wanted(self, targets: Sequence[str], trials: Sequence[TrialRecord]) -> tuple[str, Wanted] | None:
        """Return the next trial and its target; None once `trials` suffice.

        A target that is bad decides, so none is run after it. Trials on another device come last, those of all targets
        together: the commit moves once.
        """
        elsewhere = None
        for target in targets:
            own = _of(target, trials)
            found = self.each.wanted(own)
            if found is None:
                if self.each.judge(own, ()).answer is Answer.BAD:
                    return None
            elif not found.elsewhere:
                return target, found
            elsewhere = elsewhere or (None if found is None else (target, found))
        return elsewhere

    def judge(self, targets: Sequence[str], trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """Return the answer of a commit with `trials`; `good` are the good commit's own, empty before it was tested."""
        judged = {target: self.each.judge(_of(target, trials), _of(target, good)) for target in targets}
        if len(judged) == 1:
            return next(iter(judged.values()))
        for answer in _GRAVEST:
            named = [f"{target}: {found.reason}" for target, found in judged.items() if found.answer is answer]
            if named:
                more = f"; and {counted(len(named) - 1, 'further target')}" if len(named) > 1 else ""
                return Judged(answer, f"{named[0]}{more}")
        return Judged(Answer.GOOD, f"{len(judged)} targets are good")


def _of(target: str, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [trial for trial in trials if trial.case == target]
