"""A bisect over the commits of a suite's repository, confined, on devices that are threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.bisect.workflow import bisect
from farm.errors import UsageError
from farm.execution.session import SessionOptions
from farm.model.bisect import BisectRequest, CommitOutcome, MetricName
from farm.model.timeouts import Timeouts
from jobs.sandbox import bubblewrap
from tests.farm.thread_lease import without_ray

pytestmark = [
    pytest.mark.usefixtures("at_home", "on_threads"),
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks),
]

PROFILE = f"""
name = "mine"
summary = "made for a test"
command = ["{sys.executable}", "{{file}}", "{{device}}"]
files = {{ include = ["kernels/*.py"] }}
platforms = {{ model = {{ simulated = true, clock = "simulated" }} }}
results = {{ by = "exit", failing = [3] }}
task = [{{ name = "all" }}]
workflow = [{{ name = "gate", tasks = ["all"] }}]
lines = {{ time = '^took (?P<us>[0-9.]+) us$' }}
limits = {{ seconds = 60 }}
"""
COMMITS, WORSE = 64, 41


@pytest.fixture
def on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that are threads."""
    without_ray(monkeypatch)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """65 commits, of which all from number `WORSE` on import something that makes them slower and wrong."""
    place = tmp_path_factory.mktemp("repository")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    git = ["git", "-C", str(place)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True, env=environment)
    history = "".join(commit(number) for number in range(COMMITS + 1))
    subprocess.run([*git, "fast-import", "--quiet"], input=history.encode(), check=True, env=environment)
    (place / "mine.toml").write_text(PROFILE)
    return place


def commit(number: int) -> str:
    """A commit as `git fast-import` reads it: one process in place of two a commit."""
    worse = number >= WORSE
    files = {
        "kernels/a.py": "import common\nprint(f'took {common.US} us')\nraise SystemExit(common.CODE)\n",
        "kernels/b.py": "print('took 1 us')\n",
        "kernels/common.py": f"US = {12 if worse else 10}\nCODE = {3 if worse else 0}\nNUMBER = {number}\n",
    }
    changes = "".join(f"M 100644 inline {path}\n{data(text)}" for path, text in files.items())
    return f"commit refs/heads/main\ncommitter a <a@b> {number} +0000\n{data(f'number {number}')}{changes}\n"


def data(text: str) -> str:
    return f"data {len(text)}\n{text}\n"


def asked(repository: Path, metric: MetricName, case: str = "kernels/a.py", workflow: str = "") -> BisectRequest:
    return BisectRequest(
        repository=str(repository),
        good=f"HEAD~{COMMITS}",
        bad="HEAD",
        kernel="mine",
        case=case,
        platform="model",
        devices=3,
        metric=metric,
        input_set="own",
        seed=0,
        require_sandbox=True,
        suite=str(repository / "mine.toml"),
        workflow=workflow,
    )


@pytest.mark.parametrize(
    ("metric", "workflow", "told"),
    [
        (MetricName.VERDICT, "gate", "kernels/a.py: wrong: exit code"),
        (MetricName.WALL, "", "worse: 12.00 µs, 10.00 µs"),
    ],
    ids=["workflow", "file"],
)
def test_three_devices_find_one_of_64_commits_in_three_rounds(
    metric: MetricName, workflow: str, told: str, repository: Path, tmp_path: Path
) -> None:
    how = SessionOptions(out=tmp_path, timeouts=Timeouts(trial_s=700))

    searched = asked(repository, metric, workflow or "kernels/a.py", workflow)
    record = bisect(searched, how, report=bool(workflow))

    assert (record.outcome, record.rounds) == (CommitOutcome.FOUND, 3), record.reason
    culprit = record.culprit
    assert culprit is not None
    assert culprit.subject == f"number {WORSE}"
    assert told in record.reason
    if workflow:
        report = (tmp_path / record.run_id / "report.json").read_text()
        assert "the merge base passes" in report and "kernels/b.py" in report


def test_a_file_that_a_commit_does_not_have_is_named_before_anything_is_leased(
    repository: Path, tmp_path: Path
) -> None:
    how = SessionOptions(out=tmp_path, timeouts=Timeouts(trial_s=700))

    with pytest.raises(UsageError, match=r"cannot be tested: commit \w{12} has no kernels/gone\.py"):
        bisect(asked(repository, MetricName.VERDICT, "kernels/gone.py"), how)
