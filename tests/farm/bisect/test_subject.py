"""Which targets of a commit a bisect over a workflow runs; the commits are trees on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.bisect.commit_range import CommitRange
from farm.bisect.subject import SuiteTargets
from farm.errors import UsageError
from farm.execution.session import SessionOptions
from farm.model.bisect import BisectRequest, CommitRecord, MetricName
from farm.model.timeouts import Timeouts
from jobs.sandbox.source_tree import Tree

pytestmark = pytest.mark.usefixtures("at_home")

PROFILE = """
name = "mine"
summary = "made for a test"
command = ["python", "{file}", "{device}"]
files = { include = ["*.py"] }
markers = { devices = '^# devices=(?P<devices>\\d)' }
platforms = { model = { simulated = true, clock = "simulated" } }
results = { by = "exit" }
task = [{ name = "fast", files = ["fast*"] }, { name = "all" }]
workflow = [{ name = "gate", tasks = ["fast", "all"] }]
limits = { seconds = 60 }
"""


def tree(*files: str, text: str = "pass\n") -> Tree:
    return Tree.of(".", {file: text.encode() for file in files})


def over(place: Path, metric: MetricName = MetricName.VERDICT) -> SuiteTargets:
    (place / "mine.toml").write_text(PROFILE)
    return SuiteTargets(
        BisectRequest(
            repository=str(place),
            good="a" * 40,
            bad="b" * 40,
            kernel="mine",
            case="gate",
            platform="model",
            devices=3,
            metric=metric,
            input_set="own",
            seed=0,
            suite=str(place / "mine.toml"),
            workflow="gate",
        )
    )


def line(good: Tree, bad: Tree) -> CommitRange:
    commits = tuple(CommitRecord(commit=each * 40, subject=each, author="", date="", parents=[]) for each in "ab")
    return CommitRange(Path(), 1, commits, {0: good, 1: bad}, {})


def test_each_commit_has_the_targets_that_it_has_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    subject = over(tmp_path)

    assert subject.targets(tree("a.py", "fast.py")) == ("fast.py", "a.py")
    assert subject.targets(tree("fast.py", "new.py", "a.py")) == ("fast.py", "a.py", "new.py")


def test_a_commit_with_an_empty_task_or_with_a_target_for_several_devices_is_refused(tmp_path: Path) -> None:
    subject = over(tmp_path)

    with pytest.raises(UsageError, match="task 'fast' has none of the 1 targets"):
        subject.targets(tree("a.py"))
    with pytest.raises(UsageError, match=r"fast.py takes 2 devices at once, and a bisect has one for each commit"):
        subject.targets(tree("fast.py", text="# devices=2\n"))


def test_times_are_asked_only_of_targets_that_the_good_commit_has_too(tmp_path: Path) -> None:
    good, bad = tree("fast.py", "a.py"), tree("fast.py", "new.py")
    how = SessionOptions(out=tmp_path, timeouts=Timeouts(trial_s=700))
    timed, judged = over(tmp_path, MetricName.WALL), over(tmp_path)

    resolved = [subject.resolve(line(good, bad), how) for subject in (timed, judged)]

    assert [each.request.cases for each in resolved] == [["fast.py"], ["fast.py", "new.py"]]
    with pytest.raises(UsageError, match="none of the targets of 'gate' is in the good commit"):
        timed.targets(tree("fast2.py"))
