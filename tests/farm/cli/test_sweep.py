"""`farm sweep` at the command line: bad input is one line and exit code 2, and nothing is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.model.sweep import SweepPlan
from farm.sweep.journal import Journal
from kernel.clock import Clock
from tests.farm.sweep_samples import request

pytestmark = pytest.mark.usefixtures("at_home")


def farm(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sweep", *arguments])


def assert_refused(result: Result, words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert words in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "unknown kernel 'nope'"),
        (["--case", "huge"], "unknown case 'huge'"),
        (["--platform", "b200"], "unknown platform 'b200'"),
        (["--inputs-set", "nice"], "unknown input set 'nice'"),
        (["--seeds", "0"], "--seeds"),
        (["--repeats", "0"], "--repeats 0"),
        (["--devices", "some"], "--devices some"),
        (["--devices", "0"], "--devices 0"),
        (["--budget-minutes", "0"], "--budget-minutes 0"),
        (["--budget-minutes", "nan"], "--budget-minutes nan"),
        (["--trial-timeout", "-1"], "-1"),
        (["--resume", "latest"], "no sweep below"),
        (["--resume", "latest", "--case", "tiny"], "leave out --case"),
        (["qkv_proj_rope", "--resume", "latest", "--seeds", "2"], "leave out KERNEL, --seeds"),
    ],
)
def test_bad_values_are_refused_before_anything_starts(tmp_path: Path, arguments: list[str], words: str) -> None:
    out = tmp_path / "out"

    assert_refused(farm(*arguments, "--out", str(out)), words)

    assert not out.exists()


def test_a_sweep_of_another_program_is_not_gone_on_with(tmp_path: Path) -> None:
    plan = SweepPlan(
        sweep_id="20261124-a",
        request=request(platform="a2a3sim"),
        clock=Clock.SIMULATED,
        noisy=False,
        commit="unknown",
        toolchain={"pypto": "0.0.1"},
        addresses={"tiny": "0"},
        outputs={"tiny": ["kv"]},
        devices=["n0/0"],
        quarantined=[],
        started_at="2026-11-24T01:00:00+00:00",
    )
    Journal(tmp_path / plan.sweep_id).begin(plan)

    assert_refused(farm("--resume", "latest", "--out", str(tmp_path)), "was begun with pypto 0.0.1")


def test_the_schema_is_printed_alone() -> None:
    result = farm("--schema")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "SweepRecord"
