"""A whole run whose program comes from a commit, against its merge base, on a real local Ray."""

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
from tests.farm.validated import run

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray", "at_home")]

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


@pytest.mark.parametrize("base_is_broken", [False, True])
def test_head_and_base_are_run_confined_and_compared(tmp_path: Path, base_is_broken: bool) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", "-b", "main", str(repository)], check=True)
    shutil.copytree(PACKAGE, repository / "kernel/qkv_proj_rope", ignore=shutil.ignore_patterns("__pycache__"))
    whole = (PACKAGE / "__init__.py").read_text()
    commit(repository, "__init__.py", "\nimport nothing_like_it\n" if base_is_broken else "")
    (repository / "kernel/qkv_proj_rope/__init__.py").write_text(whole)
    commit(repository, "golden.py", "# other rules\n")

    record = validate(repository, tmp_path / "out")

    gates = {gate.name: gate.status for gate in record.gates}
    assert record.source is not None
    assert record.base is not None
    assert record.source.rule_changes == ["kernel/qkv_proj_rope/golden.py"]
    assert record.commit == record.source.commit
    assert record.request.seed != 0
    assert [trial.seed for trial in record.source.controls] != [record.request.seed]
    assert gates["tolerance"] is GateStatus.PASSED
    assert gates["control"] is GateStatus.PASSED
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(tmp_path / "out" / record.run_id / "junit.xml"))}
    shown = {case.name: bool(case.result) for name in ("program", "merge base") for case in suites[name]}
    isolated = bubblewrap.isolation().bubblewrap
    assert shown == {"rules": True, "gain": False, "isolation": not isolated, "merge base": base_is_broken}
    (gain,) = record.source.gains
    assert (gain.before_us is None, gain.landed) == (base_is_broken, 0)
    if base_is_broken:
        assert (record.verdict, gates["regression"]) == (Verdict.ERRORED, GateStatus.ERRORED)
        assert "could not be built" in record.reason
    else:
        assert (record.verdict, gates["regression"]) == (Verdict.PASSED, GateStatus.PASSED)
        assert record.base.comparison["tiny"].ratio == 1.0
        _goes_on(interrupted(record), tmp_path / "out")


def _goes_on(old: RunRecord, out: Path) -> None:
    """The whole round of `old` is taken over, with its seed; the broken one and the control are measured."""
    resume.require(old)
    record = run(old.request, options(out), resumed=old)

    assert (record.verdict, record.resumed_from) == (Verdict.PASSED, old.run_id), record.reason
    assert record.base is not None and record.source is not None and old.base is not None
    assert (record.trials[0], record.base.trials[0]) == (old.trials[0], old.base.trials[0])
    assert [trial.repeat for trial in record.trials] == [trial.repeat for trial in record.base.trials] == [0, 1]
    assert record.trials[1] != old.trials[1]
    assert record.request.seed == old.request.seed
    assert [trial.seed for trial in record.source.controls] != [old.request.seed]
    assert record.base.comparison["tiny"].rounds == 2
