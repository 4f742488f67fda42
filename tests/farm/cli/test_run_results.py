"""What `farm run` does with a finished run: land its times, keep the operands of what failed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from safetensors.torch import load_file

from farm.cli import budget_update, failing_operands
from farm.cli.run_results import FollowUp
from farm.errors import UsageError
from farm.model.budgets import load_budget
from farm.model.run import Finding, GateStatus, RunRecord
from jobs import poison
from kernel.clock import Clock
from kernel.registry import find_kernel
from tests.farm import samples

CASE = samples.CASE


def budgets(tmp_path: Path, landed_us: float = 76.5) -> Path:
    path = tmp_path / "budgets.toml"
    path.write_text(f"[a2a3sim.{CASE}]\nlanded = [{{ us = {landed_us}, reason = 'first' }}]\n")
    return path


def landed(path: Path) -> float | None:
    found = load_budget(path, "a2a3sim", CASE)
    return found.ratchet_us if found else None


def test_a_slower_run_that_a_person_wants_is_landed_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = budgets(tmp_path)

    budget_update.update(samples.over_budget(), path, "a wider sum")

    assert landed(path) == 95.5
    assert "a wider sum" in path.read_text()
    assert f"{CASE} 76.50 to 95.50 µs; review and commit it" in capsys.readouterr().err


def test_the_same_time_is_not_landed_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = budgets(tmp_path, 76.64)
    before = path.read_text()

    budget_update.update(samples.run(), path, "again")

    assert path.read_text() == before
    assert "has these times already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (samples.tolerance_failure(), "tolerance did not pass"),
        (samples.compile_failure(), "did not pass|has no time"),
        (samples.run(gates=[]), "has no time"),
        (samples.run(clock=Clock.MEASURED), "vary from run to run: set ceiling_us"),
    ],
)
def test_times_of_a_kernel_that_is_wrong_are_never_landed(tmp_path: Path, record: RunRecord, why: str) -> None:
    path = budgets(tmp_path)
    before = path.read_text()

    with pytest.raises(UsageError, match=why):
        budget_update.update(record, path, "whatever")

    assert path.read_text() == before


@pytest.mark.parametrize(
    ("asked", "watch", "of_commit", "why"),
    [
        (FollowUp("x", "  ", keep_failing=False), False, False, "needs a reason"),
        (FollowUp("x", "faster", keep_failing=False), False, True, "--source measures a commit"),
        (FollowUp("x", None, keep_failing=True), True, False, "leave out --watch"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_run(
    asked: FollowUp, watch: bool, of_commit: bool, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        asked.require(watch=watch, of_commit=of_commit)


def test_operands_are_kept_of_wrong_numbers_kernel_faults_and_races_alone() -> None:
    raced = Finding(message="differs", case=CASE, output="q")

    assert failing_operands.failing(samples.run()) == []
    assert failing_operands.failing(samples.tolerance_failure()) == [(CASE, 0)]
    assert failing_operands.failing(
        samples.run(gates=samples.failed_gate("determinism", raced, status=GateStatus.FAILED))
    ) == [(CASE, 0)]


def test_the_kept_operands_are_those_of_the_run_and_the_replay_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    wrong = samples.trial("vm/0", case="tiny", outputs={"q": samples.output("q", passed=False)})
    request = samples.run().request.model_copy(update={"input_set": "documented"})
    record = samples.run(cases=["tiny"], trials=[wrong], directory=str(tmp_path), request=request)

    failing_operands.keep(record, "qkv_proj_rope")

    kernel = find_kernel("qkv_proj_rope")
    inputs = tmp_path / "failing" / "tiny-seed0-inputs.safetensors"
    drawn = kernel.inputs("tiny", record.request.input_set, 0)
    assert poison.digests(load_file(inputs)) == poison.digests(drawn)
    assert (tmp_path / "failing" / "tiny-seed0-golden.safetensors").is_file()
    command = shlex.split(capsys.readouterr().err.partition("operands: ")[2])
    assert command[:6] == ["farm", "kernel", "exec", "qkv_proj_rope", "--case", "tiny"]
    assert command[command.index("--inputs") + 1] == str(inputs)
