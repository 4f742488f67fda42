"""Trials of suites whose verdict and times are in exit codes and files, in repositories that are made here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Profile, parse
from kernel.platforms.command import Command

COMMON = """
name = "mine"
summary = "made for a test"
files = { include = ["*"] }
platforms = { a2a3 = { simulated = false, clock = "measured" } }
environment = { set = { ASCEND_RT_VISIBLE_DEVICES = "{device}" } }
limits = { seconds = 120 }
"""
SHELL = COMMON + 'command = ["sh", "{file}", "{workdir}"]\nresults = { by = "exit", failing = [3] }\n'
TIMED = SHELL + 'times = [{ file = "prof/*.csv", column = "Task Duration(us)", where = { "Op Name" = "^MatMul" } }]\n'
PYTEST = (
    COMMON.replace("set = { ", 'set = { PYTEST_DISABLE_PLUGIN_AUTOLOAD = "1", ')  # seconds, and none is needed
    + f'command = ["{sys.executable}", "-m", "pytest", "-q", "-p", "no:cacheprovider", '
    + '"{file}", "--junitxml={workdir}/j.xml"]\n'
    + 'results = { by = "junit", file = "j.xml" }\n'
)


def trial(profile: str | Profile, name: str, text: str, place: Path, target: str = "") -> TrialRecord:
    """The record of one file of a repository that has only it."""
    made = parse(profile, "mine.toml") if isinstance(profile, str) else profile
    repository = place / "repository"
    repository.mkdir(parents=True)
    (repository / name).write_text(text)
    return run_trial(
        TrialRequest(kernel=made.name, case=target or name, platform="a2a3", input_set="own"),
        device=5,
        device_id="node/5",
        repeat=0,
        attempt=0,
        platform=Command(made, "a2a3", repository),
        directory=place / "trial",
        cache_dir=place / "cache",
        kernel=HarnessKernel(made, repository, (target or name,)),
    )


def test_exit_code_0_is_a_pass_and_a_failing_code_is_wrong(tmp_path: Path) -> None:
    passed = trial(SHELL, "run.sh", "exit 0\n", tmp_path / "a")
    wrong = trial(SHELL, "run.sh", "echo mismatch; exit 3\n", tmp_path / "b")

    assert [(claim.passed, claim.how) for claim in passed.claims.values()] == [(True, "exit code 0")]
    assert (wrong.status, [claim.passed for claim in wrong.claims.values()]) == (TrialStatus.OK, [False])


@pytest.mark.parametrize(
    ("text", "fault", "kind"),
    [
        ("echo no idea; exit 1\n", Fault.FARM, "unexplained-exit-1"),
        ("echo 'g++: command not found'; exit 3\n", Fault.NODE, "platform-unavailable"),
        ("echo 'aclrtSynchronizeStream failed: 507015'; exit 3\n", Fault.DEVICE, "device-507015"),
    ],
)
def test_another_code_or_a_fault_of_the_machines_is_not_the_kernels(
    text: str, fault: Fault, kind: str, tmp_path: Path
) -> None:
    record = trial(SHELL, "run.sh", text, tmp_path)

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (fault, kind)


PROFILED = """
mkdir -p "$1/prof"
printf 'Op Name,Task Duration(us)\\nMatMul_a,12.5\\nAdd_b,3.5\\nMatMul_c,20.0\\n' > "$1/prof/op_summary_1.csv"
"""


def test_the_time_of_a_run_is_in_its_csv(tmp_path: Path) -> None:
    record = trial(TIMED, "run.sh", PROFILED, tmp_path)

    assert (record.status, record.wall_us, record.untimed) == (TrialStatus.OK, 32.5, "")


def test_a_run_whose_times_are_missing_passes_without_a_time(tmp_path: Path) -> None:
    record = trial(TIMED, "run.sh", "exit 0\n", tmp_path)

    assert (record.status, record.wall_us) == (TrialStatus.OK, None)
    assert record.untimed == "the run left no file that matches prof/*.csv"


def test_the_leased_device_is_the_only_visible_one(tmp_path: Path) -> None:
    assert trial(SHELL, "run.sh", 'test "$ASCEND_RT_VISIBLE_DEVICES" = 5\n', tmp_path).failure is None


def test_a_variant_gets_its_arguments(tmp_path: Path) -> None:
    profile = parse(SHELL + 'variants = [{ name = "ep4", arguments = ["--ep", "4"], files = ["*"] }]\n', "mine.toml")

    assert trial(profile, "run.sh", 'test "$2 $3" = "--ep 4"\n', tmp_path, "run.sh[ep4]").failure is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("def test_a(): assert 1 == 2\ndef test_b(): pass\n", None),
        ("def test_a(): raise RuntimeError('rtStreamSynchronize failed: 507014')\n", "device-507014"),
        ("import torch_npu_missing_module\n", "unexplained-error"),
        ("import tbe.dsl\ndef test_a(): pass\n", "platform-unavailable"),
        ("def test_a(): raise KeyError('layout')\n", "unexplained-KeyError"),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n", "nothing-measured"),
        ("x = 1\n", "nothing-measured"),
    ],
)
def test_a_pytest_file_is_judged_by_its_report(text: str, kind: str | None, tmp_path: Path) -> None:
    record = trial(PYTEST, "test_it.py", text, tmp_path)

    assert (record.failure.kind if record.failure is not None else None) == kind
    if kind is None:
        passed = {name.rpartition("::")[2]: claim.passed for name, claim in record.claims.items()}
        assert passed == {"test_a": False, "test_b": True}
