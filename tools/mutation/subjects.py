"""Which modules are mutated, and which tests must notice.

The modules are those that say passed or failed, right or wrong, and whose fault. The tests are the fast ones of each:
a mutant runs all that reach it until one fails, and one that survives runs them all.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_GATES = (
    "tests/farm/gates/test_known_survivors.py",
    "tests/farm/gates/test_tolerance_determinism_budget.py",
    "tests/farm/gates/test_verdict.py",
    "tests/farm/gates/test_control.py",
    "tests/farm/gates/test_exact_time.py",
    "tests/farm/gates/test_findings.py",
    "tests/farm/gates/test_differences.py",
    "tests/farm/gates/test_budget_verdicts.py",
    "tests/farm/gates/test_several_findings.py",
)
_REGRESSION = (*_GATES, "tests/farm/gates/test_regression.py")
# Without `test_bit_flips`, a simulation of error rates.
_SWEEP = (
    "tests/farm/sweep/test_attribution.py",
    "tests/farm/sweep/test_attribution_counts.py",
    "tests/farm/sweep/test_other_cards.py",
    "tests/farm/sweep/test_first_launches.py",
    "tests/farm/sweep/test_parts.py",
    "tests/farm/sweep/test_failure_attribution.py",
    "tests/farm/sweep/test_timing_outliers.py",
)
# Module, from the root → the files of tests that judge it.
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "farm/gates/budget.py": _GATES,
    "farm/gates/claims.py": ("tests/farm/gates/test_findings.py", "tests/farm/harness/test_gates.py"),
    "farm/gates/completeness.py": _GATES,
    "farm/gates/control.py": _GATES,
    "farm/gates/determinism.py": _GATES,
    "farm/gates/divergence.py": _GATES,
    "farm/gates/each_output.py": _GATES,
    "farm/gates/exact_time.py": _GATES,
    "farm/gates/protocol.py": _GATES,
    "farm/gates/regression.py": _REGRESSION,
    "farm/gates/self_disagreement.py": _GATES,
    "farm/gates/tolerance.py": _GATES,
    "farm/gates/verdict.py": _GATES,
    "farm/gates/votes.py": _GATES,
    "kernel/tolerance.py": ("tests/kernel/test_tolerance.py",),
    "kernel/clock.py": ("tests/kernel/test_clock.py",),
    "farm/stats/bootstrap.py": _REGRESSION,
    "farm/stats/robust.py": ("tests/farm/stats/test_robust.py",),
    "farm/stats/change_points.py": ("tests/farm/stats/test_change_points.py",),
    "farm/sweep/attribution.py": _SWEEP,
    "farm/sweep/failure_attribution.py": _SWEEP,
    "farm/sweep/timing_outliers.py": _SWEEP,
    "farm/execution/failure_policy.py": ("tests/farm/execution/test_failure_policy.py",),
}


class UnknownCommitError(Exception):
    """This clone does not have the commit to compare with; the message is one line."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The modules to mutate, and why these."""

    modules: tuple[str, ...]
    why: str


def every(subjects: Mapping[str, tuple[str, ...]]) -> Choice:
    """Return all modules."""
    return Choice(tuple(subjects), "all modules")


def changed_since(root: Path, commit: str, subjects: Mapping[str, tuple[str, ...]]) -> Choice:
    """Return the modules that differ from `commit` in the working tree, or whose tests do: a weaker test is a change.

    Raises `UnknownCommitError` where the clone at `root` has no such commit.
    """
    if _git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode != 0:
        raise UnknownCommitError(f"this clone has no commit {commit}, so it cannot say what changed; fetch more of it")
    answer = _git(root, "diff", "--name-only", "-z", commit, "--")
    changed = set(answer.stdout.split("\0"))
    modules = tuple(name for name, tests in subjects.items() if changed & {name, *tests})
    return Choice(modules, f"changed since {commit}")


def judges(modules: Iterable[str], subjects: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the files of tests that judge `modules`, each once."""
    return tuple(dict.fromkeys(test for module in modules for test in subjects[module]))


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
