"""Which samples stand for a commit, and which commit for a merge base."""

from __future__ import annotations

import pytest

from farm.baseline import Baseline, Chosen, baselines, choose
from farm.model.run import MedianRecord, Verdict
from farm.stats.robust import median
from farm.store.row_mapping import HistoryPoint
from kernel.clock import Clock

BRANCH = ["e", "d", "c", "b", "a"]  # newest first


def point(commit: str, *us: float, verdict: Verdict = Verdict.PASSED, clock: Clock = Clock.MEASURED) -> HistoryPoint:
    record = MedianRecord(clock=clock, per_device={}, overall=median(us) if us else None, mad_us=None, samples=[*us])
    return HistoryPoint(f"run-{commit}-{us[0] if us else 0:.0f}", "2026-11-23T14:00:00+00:00", commit, verdict, record)


def known(*commits: str) -> dict[str, Baseline]:
    return baselines("k", "c", "p", [point(commit, 100.0) for commit in commits])


def test_all_passed_runs_of_a_commit_add_up() -> None:
    found = baselines("k", "flash", "a2a3", [point("a", 1.0, 2.0), point("b", 9.0), point("a", 3.0)])

    assert list(found) == ["a", "b"]
    assert found["a"] == Baseline("k", "flash", "a2a3", Clock.MEASURED, "a", ("run-a-1", "run-a-3"), (1.0, 2.0, 3.0))
    assert found["a"].median_us == 2.0


@pytest.mark.parametrize(
    "useless",
    [
        point("a", 1.0, verdict=Verdict.FAILED),
        point("a", 1.0, verdict=Verdict.ERRORED),
        point("a-dirty", 1.0),
        point("unknown", 1.0),
        point("", 1.0),
        point("a"),
    ],
)
def test_what_cannot_be_trusted_or_made_again_is_no_baseline(useless: HistoryPoint) -> None:
    assert baselines("k", "c", "p", [useless]) == {}


def test_two_clocks_never_stand_in_one_history() -> None:
    with pytest.raises(TypeError, match="different yardsticks"):
        baselines("k", "c", "p", [point("a", 1.0), point("b", 1.0, clock=Clock.SIMULATED)])


@pytest.mark.parametrize(
    ("merge_base", "measured", "commit", "distance"),
    [
        ("c", "abcde", "c", 0),
        ("c", "abde", "b", 1),
        ("c", "ade", "a", 2),
        ("c", "de", None, 0),  # only later ones
        ("x", "abx", "x", 0),  # a merge base off the branch
        ("x", "ab", None, 0),
        ("e", "", None, 0),
    ],
)
def test_the_nearest_ancestor_stands_in(merge_base: str, measured: str, commit: str | None, distance: int) -> None:
    history = known(*measured)
    expected = None if commit is None else Chosen(history[commit], distance)

    assert choose(merge_base, BRANCH, history) == expected
