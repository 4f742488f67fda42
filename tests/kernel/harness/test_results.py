"""Verdicts and times in files: JUnit as pytest writes it, CSV as msprof and torch_npu write it, JSON."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kernel.harness.profile_results import Results, TimeFile
from kernel.harness.results import ResultsError, claims, times

JUNIT = Results(by="junit", file="junit.xml")
TESTS = """
import pytest

def test_right(): pass
def test_wrong(): assert 1 == 2
def test_raises(): raise RuntimeError("aclrtLaunch failed: 507018")
@pytest.mark.skip(reason="no such card")
def test_skipped(): pass
@pytest.fixture
def broken(): raise OSError("no")
def test_errs(broken): pass
"""
# The head of op_summary_*.csv and of kernel_details.csv as the tools' documentation gives them.
OP_SUMMARY = """\
Device_id,Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time(us),Task Duration(us),Task Wait Time(us)
0,4294967295,1,2,MatMul_a,MatMulV2,AI_CORE,"1718002105.100\t",12.5,0
0,4294967295,2,2,Add_b,Add,AI_VECTOR_CORE,"1718002118.100\t",3.5,0
0,4294967295,3,2,MatMul_c,MatMulV2,AI_CORE,"1718002130.100\t",20.0,0
"""


def rows(**more: Any) -> Results:
    return Results(by="csv", file="out.csv", name="op", column="result", passing="^pass$", **more)


def test_what_pytest_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=junit.xml", "test_it.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)

    found = claims(tmp_path, JUNIT, 1)

    assert {name: (claim.passed, claim.how) for name, claim in found.items()} == {
        "test_it::test_right": (True, ""),
        "test_it::test_wrong": (False, "assert"),
        "test_it::test_raises": (False, "RuntimeError"),
        "test_it::test_errs": (False, "error"),
    }
    assert "507018" in found["test_it::test_raises"].detail


def test_of_two_tests_with_one_name_the_failure_stands(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(
        '<testsuites><testsuite><testcase name="a"/><testcase name="a"><failure message="assert 0"/></testcase>'
        '<testcase name="a"/></testsuite></testsuites>'
    )

    assert not claims(tmp_path, JUNIT, 1)["a"].passed


def test_failures_are_kept_where_there_are_too_many_tests(tmp_path: Path) -> None:
    passed = "".join(f'<testcase name="t{number}"/>' for number in range(3000))
    (tmp_path / "junit.xml").write_text(f'<testsuite>{passed}<testcase name="z"><error/></testcase></testsuite>')

    found = claims(tmp_path, JUNIT, 1)

    assert (len(found), found["z"].passed) == (1000, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<testsuite", "is not XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><testsuite/>', "declares entities"),
    ],
)
def test_a_report_that_is_none_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(text)

    with pytest.raises(ResultsError, match=told):
        claims(tmp_path, JUNIT, 0)


def test_a_file_that_is_not_there_or_leads_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.xml").write_text("<testsuite/>")
    work = tmp_path / "work"
    work.mkdir()
    (work / "junit.xml").symlink_to(tmp_path / "elsewhere.xml")

    with pytest.raises(ResultsError, match=r"no file matches junit\.xml"):
        claims(work, JUNIT, 0)


def test_rows_of_a_table_are_claims(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("\ufeffop, result, stage\na, pass, x\nb, FAIL, x\nc, FAIL, warm-up\n")

    found = claims(tmp_path, rows(where={"stage": "^x$"}), 0)

    assert {name: claim.passed for name, claim in found.items()} == {"a": True, "b": False}
    assert found["b"].how == "result: FAIL"


def test_rows_of_json_are_claims(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text('{"report": {"ops": [{"op": "a", "ok": true}, {"op": "b", "ok": false}]}}')
    how = Results(by="json", file="*.json", rows="report.ops", name="op", column="ok", passing="^true$")

    assert {name: claim.passed for name, claim in claims(tmp_path, how, 0).items()} == {"a": True, "b": False}


@pytest.mark.parametrize(("code", "passed"), [(0, True), (1, False), (2, None), (-11, None), (None, None)])
def test_an_exit_code_claims_what_the_profile_says_it_does(code: int | None, passed: bool | None) -> None:
    found = claims(Path("/nowhere"), Results(by="exit", failing=[1]), code)

    assert [claim.passed for claim in found.values()] == ([] if passed is None else [passed])


@pytest.mark.parametrize(
    ("aggregate", "us", "rounds"),
    [("sum", 36.0, 1), ("mean", 12.0, 3), ("median", 12.5, 3), ("min", 3.5, 3), ("max", 20.0, 3)],
)
def test_a_column_becomes_the_time_of_the_run(aggregate: Any, us: float, rounds: int, tmp_path: Path) -> None:
    (tmp_path / "op_summary_1.csv").write_text(OP_SUMMARY)

    found, spread = times(tmp_path, TimeFile(file="op_summary_*.csv", column="Task Duration(us)", aggregate=aggregate))

    assert (found, spread.rounds) == (us, rounds)


def test_rows_are_filtered_and_units_are_converted(tmp_path: Path) -> None:
    (tmp_path / "op_summary_1.csv").write_text(OP_SUMMARY)
    how = TimeFile(file="*.csv", column="Task Duration(us)", where={"Op Name": "^MatMul"}, unit="ms")

    assert times(tmp_path, how)[0] == 32_500.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("12.5", "nan"), "nan is not a time"),
        (("12.5", "0"), "0 is not a time"),
        (("12.5", "N/A"), "'N/A' is not a time"),
        (("Task Duration(us)", "Duration"), "has no column 'Task Duration"),
    ],
)
def test_what_is_no_time_is_refused(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    (tmp_path / "op_summary_1.csv").write_text(OP_SUMMARY.replace(*change))

    with pytest.raises(ResultsError) as caught:
        times(tmp_path, TimeFile(file="op_summary_*.csv", column="Task Duration(us)"))

    assert told in str(caught.value)


def test_no_file_and_no_row_are_no_time(tmp_path: Path) -> None:
    how = TimeFile(file="*.csv", column="Task Duration(us)", where={"Op Name": "^Conv"})

    with pytest.raises(ResultsError, match="left no file"):
        times(tmp_path, how)
    (tmp_path / "op_summary_1.csv").write_text(OP_SUMMARY)
    with pytest.raises(ResultsError, match="no row of"):
        times(tmp_path, how)
