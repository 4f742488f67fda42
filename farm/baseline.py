"""What earlier commits measured, and with which of them a new one is compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from farm.model.run import Verdict
from farm.source.provenance import UNKNOWN
from farm.stats.robust import median
from farm.store.row_mapping import HistoryPoint
from kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Baseline:
    """Every sample of one commit on one case, from all its runs that passed."""

    kernel: str
    case: str
    platform: str
    clock: Clock
    commit: str
    runs: tuple[str, ...]  # ids, oldest first
    samples: tuple[float, ...]  # µs of `clock`, at least one

    @property
    def median_us(self) -> float:
        """Median over all samples."""
        return median(self.samples)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The baseline to compare with, and how far it is from the one that was asked for."""

    baseline: Baseline
    distance: int  # commits of the default branch between it and the merge base; 0: the merge base itself


def baselines(kernel: str, case: str, platform: str, points: Iterable[HistoryPoint]) -> dict[str, Baseline]:
    """Commit → its baseline, from `Store.history(kernel, case, platform)`, oldest first.

    Only runs that passed count: a kernel with wrong numbers has no time worth comparing with. A changed tree and a
    commit that is not known are left out: nobody could measure them again. Raises `TypeError` for points of two clocks.
    """
    of_commit: dict[str, list[HistoryPoint]] = defaultdict(list)
    for point in points:
        if point.verdict is Verdict.PASSED and point.median.samples and named(point.commit):
            of_commit[point.commit].append(point)
    clocks = {point.median.clock for found in of_commit.values() for point in found}
    if len(clocks) > 1:
        raise TypeError(f"{kernel} {case} on {platform} has simulated and measured times: different yardsticks")
    return {
        commit: Baseline(
            kernel=kernel,
            case=case,
            platform=platform,
            clock=found[0].median.clock,
            commit=commit,
            runs=tuple(point.run_id for point in found),
            samples=tuple(us for point in found for us in point.median.samples),
        )
        for commit, found in of_commit.items()
    }


def choose(merge_base: str, default_branch: Sequence[str], known: Mapping[str, Baseline]) -> Chosen | None:
    """The merge base's own baseline, else that of its nearest ancestor on the default branch, else None.

    `default_branch` is that branch's commits, newest first, first parents only. Commits after the merge base are never
    taken: they hold changes that the head does not have. So a merge base that is not on the branch has only its own.
    """
    if merge_base in known:
        return Chosen(known[merge_base], 0)
    if merge_base not in default_branch:
        return None
    before = default_branch[default_branch.index(merge_base) :]
    return next((Chosen(known[commit], away) for away, commit in enumerate(before) if commit in known), None)


def named(commit: str) -> bool:
    """True where `commit` is one that can be checked out again."""
    return commit not in ("", UNKNOWN) and not commit.endswith("-dirty")
