"""Whole runs whose program comes from a commit, against its merge base: one confined on a real Ray, the others without.

What is decided of a commit does not depend on the processes that ran it, so those others have their devices here.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from junitparser import JUnitXml

import kernel.qkv_proj_rope
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import GateStatus, RunRecord, RunRequest, Verdict
from farm.model.selection import Selection
from farm.source import programs
from farm.validation import resume
from jobs.sandbox import bubblewrap
from tests.fakes import platforms
from tests.farm import direct_lease
from tests.farm.validated import run

pytestmark = pytest.mark.usefixtures("at_home")

PACKAGE = Path(kernel.qkv_proj_rope.__file__).parent
BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}


def commit(repository: Path, file: str, text: str) -> None:
    with (repository / "kernel/qkv_proj_rope" / file).open("a") as opened:
        opened.write(text)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(repository), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(repository), *identity, "commit", "-q", "-m", "change"], check=True)


def validate(repository: Path, out: Path) -> RunRecord:
    source = programs.requested("qkv_proj_rope", repository, "HEAD", "HEAD~1", draw_seed=True, require_sandbox=False)
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=1,
        repeats=1,
        input_set="documented",
        seed=0,
        source=source,
    )
    return run(request, options(out))


def options(out: Path) -> SessionOptions:
    return SessionOptions(out=out, platform=platforms.Honest, budgets=BUDGETS)


def interrupted(record: RunRecord) -> RunRecord:
    """`record` as it was when its first round was over and the second, of two, had only its head's trial."""
    assert record.base is not None and record.source is not None
    second = record.trials[0].model_copy(update={"repeat": 1})
    request = record.request.model_copy(update={"repeats": 2, "selection": Selection(devices=[record.devices[0].id])})
    return record.model_copy(
        update={
            "verdict": Verdict.ERRORED,
            "reason": "interrupted",
            "trials": [*record.trials, second],
            "request": request,
            "source": record.source.model_copy(update={"controls": []}),
        }
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits of the kernel, of which the second changes its rules."""
    made = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", "-b", "main", str(made)], check=True)
    shutil.copytree(PACKAGE, made / "kernel/qkv_proj_rope", ignore=shutil.ignore_patterns("__pycache__"))
    commit(made, "__init__.py", "")
    commit(made, "golden.py", "# other rules\n")
    return made


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray")
def test_head_and_base_are_run_confined_and_compared(repository: Path, tmp_path: Path) -> None:
    record = validate(repository, tmp_path / "out")

    require_compared(record)
    bare = not bubblewrap.isolation().bubblewrap
    found = shown(record, tmp_path / "out")
    assert found == {"rules": True, "gain": False, "isolation": bare, "merge base": False}
    assert record.source is not None
    (gain,) = record.source.gains
    assert (gain.before_us is None, gain.landed) == (False, 0)


def require_compared(record: RunRecord) -> None:
    """Head and base were measured, on inputs that nobody knew."""
    gates = {gate.name: gate.status for gate in record.gates}
    assert (record.verdict, gates["regression"]) == (Verdict.PASSED, GateStatus.PASSED), record.reason
    assert (gates["tolerance"], gates["control"]) == (GateStatus.PASSED, GateStatus.PASSED)
    assert record.source is not None and record.base is not None
    assert record.source.rule_changes == ["kernel/qkv_proj_rope/golden.py"]
    assert record.commit == record.source.commit
    assert record.request.seed != 0
    assert [trial.seed for trial in record.source.controls] != [record.request.seed]
    assert record.base.comparison["tiny"].ratio == 1.0


def shown(record: RunRecord, out: Path) -> dict[str, bool]:
    """Cases of JUnit's suites that are no target's, and whether each has a result to look at."""
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(out / record.run_id / "junit.xml"))}
    return {case.name: bool(case.result) for name in ("program", "merge base") for case in suites[name]}


def test_a_base_that_cannot_be_built_is_no_pass_and_no_failure_of_the_head(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.validation.workflow.leased", direct_lease.leased(1, base_is_broken=True))

    record = validate(repository, tmp_path / "out")

    gates = {gate.name: gate.status for gate in record.gates}
    assert (record.verdict, gates["regression"]) == (Verdict.ERRORED, GateStatus.ERRORED)
    assert (gates["tolerance"], gates["control"]) == (GateStatus.PASSED, GateStatus.PASSED)
    assert "could not be built" in record.reason
    assert shown(record, tmp_path / "out")["merge base"]
    assert record.source is not None
    (gain,) = record.source.gains
    assert (gain.before_us is None, gain.landed) == (True, 0)


def test_a_run_of_a_commit_that_was_interrupted_takes_over_whole_rounds_and_its_seed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.validation.workflow.leased", direct_lease.leased(1))
    whole = validate(repository, tmp_path / "out")
    require_compared(whole)
    old = interrupted(whole)

    resume.require(old)
    record = run(old.request, options(tmp_path / "out"), resumed=old)

    assert (record.verdict, record.resumed_from) == (Verdict.PASSED, old.run_id), record.reason
    assert record.base is not None and record.source is not None and old.base is not None
    assert (record.trials[0], record.base.trials[0]) == (old.trials[0], old.base.trials[0])
    assert [trial.repeat for trial in record.trials] == [trial.repeat for trial in record.base.trials] == [0, 1]
    assert record.trials[1] != old.trials[1]
    assert record.request.seed == old.request.seed
    assert [trial.seed for trial in record.source.controls] != [old.request.seed]
    assert record.base.comparison["tiny"].rounds == 2
