"""A commit of a suite's repository against its merge base, confined, on devices that are threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm import paths
from farm.execution.session import SessionOptions
from farm.harness.file_selection import discover
from farm.model.run import FileStatus, GateStatus, RunRecord, RunRequest, Verdict
from farm.model.timeouts import Timeouts
from farm.source import suite_commits
from farm.validation.suite import run
from farm.validation.suite_state import SuiteRequest
from jobs.records import Arm
from jobs.sandbox import bubblewrap
from kernel.harness.profile import parse
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
lines = {{ time = '^took (?P<us>[0-9.]+) us$' }}
limits = {{ seconds = 60 }}
"""


@pytest.fixture
def on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that are threads."""
    without_ray(monkeypatch)


def commit(place: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(place), *words], check=True, env=environment)
    told = subprocess.run(["git", "-C", str(place), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return told.stdout.strip()


def timed(us: float, more: str = "") -> str:
    return f"import helper\n{more}\nprint('took {us} us')\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Its directory, the base and the head."""
    place = tmp_path_factory.mktemp("repository")
    base = commit(
        place,
        {
            "kernels/same.py": timed(10),
            "kernels/slower.py": timed(10),
            "kernels/breaks.py": timed(10),
            "kernels/broken.py": timed(10, "raise SystemExit(3)"),
            "kernels/helper.py": "WORD = 1\n",
        },
    )
    head = commit(
        place,
        {
            "kernels/slower.py": timed(12.5),
            "kernels/breaks.py": timed(10, "raise SystemExit(3)"),
            "kernels/new.py": timed(7, "def golden(): return 1"),
        },
    )
    return place, base, head


def validated(repository: tuple[Path, str, str], out: Path) -> RunRecord:
    place, base, head = repository
    profile = parse(PROFILE, "mine.toml")
    commits = suite_commits.read(suite_commits.requested(place, head, base, require_sandbox=True))
    root = commits.head.unpack(paths.cache())
    found = discover(root, ["kernels/[!h]*.py"], profile, "model")
    request = RunRequest(
        kernel="mine",
        cases=list(found.files),
        platform="model",
        devices=2,
        repeats=2,
        witnesses=2,
        input_set="own",
        seed=0,
        source=commits.request,
    )
    asked = SuiteRequest(profile, "mine.toml", root, found, "named", request, commits)
    return run(asked, SessionOptions(out=out, timeouts=Timeouts(trial_s=700)))


def test_a_commit_is_held_against_its_base_file_by_file(repository: tuple[Path, str, str], tmp_path: Path) -> None:
    record = validated(repository, tmp_path)

    assert record.harness is not None
    assert record.source is not None
    assert record.base is not None
    files = {each.file.removeprefix("kernels/"): each for each in record.harness.files}
    assert {name: each.status for name, each in files.items()} == {
        "same.py": FileStatus.PASSED,
        "slower.py": FileStatus.FAILED,
        "breaks.py": FileStatus.FAILED,
        "broken.py": FileStatus.FAILED,
        "new.py": FileStatus.PASSED,
    }
    assert record.verdict is Verdict.FAILED
    assert "regression: worse: 1.2500 × the merge base" in files["slower.py"].reason
    assert files["breaks.py"].base == "the merge base passes"
    assert files["broken.py"].base.startswith("the merge base fails too")
    assert files["new.py"].base == ""
    gates = {gate.name: gate.status for gate in record.gates}
    assert gates["regression"] is GateStatus.FAILED
    assert {(trial.case, trial.arm) for trial in record.base.trials} == {
        (f"kernels/{name}", Arm.BASE) for name in ("same.py", "slower.py", "breaks.py", "broken.py")
    }
    for case in ("kernels/same.py", "kernels/slower.py"):
        made = {(trial.device, trial.repeat) for trial in record.trials if trial.case == case}
        assert made == {(trial.device, trial.repeat) for trial in record.base.trials if trial.case == case}
        assert len({device for device, _ in made}) == 2
    assert record.source.rule_changes == [
        "kernels/new.py (new: it brings its own golden and tolerances)",
    ]
    assert record.commit == repository[2]
    assert all(device.isolation.startswith("bubblewrap") for device in record.devices)
