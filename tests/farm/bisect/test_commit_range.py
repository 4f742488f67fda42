"""The line of commits that is searched, and ranges that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.bisect import commit_range
from farm.bisect.commit_range import Sought
from farm.errors import UsageError
from jobs.sandbox.commit_kernel import Origin
from tests.fakes.commits import KERNEL, Commits, versions

ORIGIN = Origin(f"{KERNEL}:KERNEL", KERNEL, (f"{KERNEL}.py", f"src/{KERNEL}.py"))


@pytest.fixture
def commits(tmp_path: Path) -> Commits:
    """Three versions, and between the last two a commit that leaves the program alone."""
    made = versions(tmp_path / "repo", ["", ""])
    made.touch()
    made.commit()
    return made


def read(commits: Commits, good: str, bad: str) -> commit_range.CommitRange:
    return commit_range.read(commits.path, good, bad, Sought.of_kernel(ORIGIN))


def test_only_commits_that_change_the_program_are_candidates(commits: Commits) -> None:
    line = read(commits, commits.ids[0], "main")

    assert line.commits == 3
    assert [each.commit for each in line.candidates] == [commits.ids[0], commits.ids[1], commits.ids[3]]
    assert [each.subject for each in line.candidates] == ["Version 0", "Version 1", "Version 3"]
    assert len({line.programs[at].address for at in range(3)}) == 3


def test_a_merge_is_one_step_of_the_line(commits: Commits) -> None:
    commits.git("switch", "--quiet", "--create", "side", commits.ids[1])
    on_side = commits.commit(subject="On the side")
    commits.git("switch", "--quiet", "main")
    commits.git("merge", "--quiet", "--no-ff", "--strategy-option=theirs", "--message", "Merge the side", "side")
    merge = commits.git("rev-parse", "HEAD")

    line = read(commits, commits.ids[0], "main")

    assert line.candidates[-1].commit == merge
    assert len(line.candidates[-1].parents) == 2
    assert on_side not in [each.commit for each in line.candidates]
    with pytest.raises(UsageError, match=r"came into main by a merge .* name a commit of that line") as refused:
        read(commits, on_side, "main")
    assert commits.ids[3][:12] in str(refused.value) or commits.ids[1][:12] in str(refused.value)


def test_a_commit_without_a_program_is_passed_over_with_its_reason(commits: Commits) -> None:
    commits.git("rm", "--quiet", f"{KERNEL}.py")
    without = commits.record("Remove it")
    last = commits.commit()

    line = read(commits, commits.ids[0], last)

    position = [each.commit for each in line.candidates].index(without)
    assert position not in line.programs
    assert "has no bisected.py" in line.lacking[position]
    with pytest.raises(UsageError, match=rf"BAD {without} cannot be tested: commit {without[:12]} has no"):
        read(commits, commits.ids[0], without)


def refused(commits: Commits, good: str, bad: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(commits, good, bad)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ranges_that_are_none_are_refused_in_one_line(commits: Commits) -> None:
    first, last = commits.ids[0], commits.ids[-1]
    commits.git("switch", "--quiet", "--orphan", "other")
    alone = commits.commit(subject="Alone")

    assert "are the same commit" in refused(commits, last, "main")
    assert "it is the other way round" in refused(commits, last, first)
    assert "is no ancestor of" in refused(commits, alone, "main")
    assert "there is no commit 'nonsense'" in refused(commits, "nonsense", "main")
    assert "there is no commit '--all'" in refused(commits, first, "--all")
    assert "changes bisected.py" in refused(commits, commits.ids[1], commits.ids[2])


def test_a_place_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no git repository"):
        commit_range.read(tmp_path, "a", "b", Sought.of_kernel(ORIGIN))
    with pytest.raises(UsageError, match="is no directory"):
        commit_range.read(tmp_path / "gone", "a", "b", Sought.of_kernel(ORIGIN))
