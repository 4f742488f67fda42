from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from kernel.platforms.pass_verify import PassCheck, read_checks

HEADER = "funcID,passName,verifyResult,maxAbsDiff,maxRelDiff\n"
GAVE_UP = """\
tensor_graph Verify NO_COMPARE
[VERIFY] Pass_02_ExpandFunction, TENSOR_MAIN, i=0@loop_idx_0=0
Errcode: FB200B!
, func GetValidDataView, file operation.h, line 92
"""


def artefacts(path: Path, brief: str, passes: list[str], log: str = "") -> Path:
    directory = path / "verify_20261123_120000"
    for name in passes:
        (directory / name).mkdir(parents=True)
    (directory / "verify_result_brief.csv").write_text(HEADER + brief)
    (directory / "verify_exception.log").write_text(log)
    return path


def test_a_pass_agrees_only_if_every_tensor_of_it_does(tmp_path: Path) -> None:
    brief = "1,Pass_00_AutoCast,PASS,0.0,0.0\n2,Pass_01_SplitK,PASS,0.5,0.25\n3,Pass_01_SplitK,FAILED,2.0,0.125\n"

    first, second = read_checks(artefacts(tmp_path, brief, ["Pass_00_AutoCast", "Pass_01_SplitK"]))

    assert (first.name, first.compared, first.agrees) == ("AutoCast", 1, True)
    assert (second.compared, second.agrees, second.max_abs_diff, second.max_rel_diff) == (2, False, 2.0, 0.25)


def test_a_pass_that_could_not_be_executed_gives_the_calculators_reason(tmp_path: Path) -> None:
    passes = ["Pass_02_ExpandFunction", "Pass_03_SplitReshape"]

    known, silent = read_checks(artefacts(tmp_path, "", passes, GAVE_UP))

    assert (known.compared, known.agrees) == (0, False)
    assert known.reason == "PyPTO's calculator cannot execute this graph: FB200B in GetValidDataView"
    assert "gave no reason" in silent.reason


@pytest.mark.sim
def test_the_kernel_agrees_after_every_pass_that_can_be_executed(tmp_path: Path, sim_cache: Path) -> None:
    from jobs.verify_passes import verify
    from kernel.qkv_proj_rope import KERNEL

    checks = verify(KERNEL, "tiny", KERNEL.tuning("tiny", {}), sim_cache)

    executed = [check for check in checks if check.compared]
    assert [check.name for check in executed if not check.agrees] == []
    assert {"ExpandFunction", "GraphPartition", "OoOSchedule", "CodegenPreproc"} <= {check.name for check in executed}


def test_the_command_refuses_a_bad_tuning_in_one_line() -> None:
    from farm.cli.app import main

    result = CliRunner().invoke(main, ["kernel", "verify", "--tuning", "nonsense=1"])

    assert result.exit_code == 2
    assert "nonsense" in result.stderr
    assert json.dumps(result.stdout) == '""'


def test_a_file_gets_every_pass_by_its_whole_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from farm.cli.app import main

    name, reason = "InferDiscontinuousInput", "the calculator compared nothing and gave no reason"
    checks = [PassCheck(4, name, 0, False, 0.0, 0.0, reason), PassCheck(5, "OoOSchedule", 4, True, 0.0, 0.0, "")]
    monkeypatch.setattr("jobs.verify_passes.verify", lambda *arguments: checks)

    result = CliRunner().invoke(main, ["kernel", "verify", "--case", "tiny"])

    assert result.exit_code == 0
    assert f"04 {name} " in result.stdout
    assert reason in result.stdout
    assert "1 of 2 passes executed" in result.stderr
