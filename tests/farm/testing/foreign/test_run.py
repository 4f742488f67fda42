"""A small foreign suite as real pytest processes: each worker with its own device, faults tried elsewhere."""

from __future__ import annotations

from pathlib import Path

import junitparser
import pytest

from farm.errors import InfrastructureError, UsageError
from farm.testing.foreign import junit_file, pytest_call
from farm.testing.foreign.attempt import AttemptEnding, Place
from farm.testing.foreign.board import TestResult
from farm.testing.foreign.run import require_proof, run
from farm.testing.foreign.worker_process import ForeignSuite
from farm.testing.plugin import DEVICE_PROPERTY
from kernel.harness.set_up import SetupResult
from tests.farm.testing.foreign.small_profile import small

PLACES = (Place("n/4", 4, "2"), Place("n/6", 6, "3"))
CONFTEST = """
import os, pathlib, pytest
HERE = pathlib.Path(__file__).parent

def pytest_addoption(parser):
    parser.addoption("--card")
    parser.addoption("--level", type=int, help="of the recording")

@pytest.fixture(autouse=True)
def fresh_process():
    fault = HERE / "fault"
    assert not fault.exists() or fault.read_text() != str(os.getpid()), "a poisoned process"

@pytest.fixture
def device(request):
    assert request.config.getoption("--card") == "0"
    assert request.config.getoption("--level") == 2, "an option of the profile that the suite takes"
    return os.environ["ASCEND_RT_VISIBLE_DEVICES"]

@pytest.fixture
def first(device, request):
    mark = HERE / request.node.name
    if mark.exists():
        assert mark.read_text() != device, "the same device again"
        return False
    mark.write_text(device)
    return True
"""
TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("value", ["a", "b::c/d", "e"])
def test_passes(device, value):
    assert device in ("4", "6")

def test_is_wrong(device):
    assert 1 + 1 == 3

def test_meets_a_broken_device(first):
    if first:
        pathlib.Path(__file__).with_name("fault").write_text(str(os.getpid()))
        raise RuntimeError("sync_stream_pair: aicpu failed: 507018")

def test_raises_everywhere(device):
    raise ValueError("no such tile")

def test_ends_its_process(device):
    os._exit(3)

@pytest.mark.skip(reason="not yet")
def test_skipped(): pass
"""


def ended(
    tmp_path: Path, tests: str, places: tuple[Place, ...] = PLACES, limit_s: float = 60.0, *, flags: bool = False
) -> list[TestResult]:
    """Run a suite of `tests` in one file."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "conftest.py").write_text(CONFTEST)
    (root / "test_all.py").write_text(tests)
    (root / "pytest.ini").write_text("[pytest]\naddopts = -x -p no:cacheprovider\n")
    suite = ForeignSuite(
        small(flags=flags), "npu", pytest_call.of(small()), SetupResult(root), (str(root / "test_all.py"),), limit_s
    )
    return run(suite, places, tmp_path / "logs")


def test_each_worker_has_its_device_and_what_may_be_the_devices_fault_is_tried_on_another(tmp_path: Path) -> None:
    results = ended(tmp_path, TESTS, flags=True)

    found = {each.name.partition("::")[2]: each for each in results}
    assert {name: each.ending for name, each in found.items()} == {
        "test_passes[a]": AttemptEnding.PASSED,
        "test_passes[b::c/d]": AttemptEnding.PASSED,
        "test_passes[e]": AttemptEnding.PASSED,
        "test_is_wrong": AttemptEnding.FAILED,
        "test_meets_a_broken_device": AttemptEnding.PASSED,
        "test_raises_everywhere": AttemptEnding.FAILED,
        "test_ends_its_process": AttemptEnding.FAILED,
        "test_skipped": AttemptEnding.SKIPPED,
    }
    assert found["test_is_wrong"].before == ()
    assert not any("poisoned" in " ".join([each.message, *each.before]) for each in results)
    assert "507018" in found["test_meets_a_broken_device"].before[0]
    assert found["test_raises_everywhere"].message.startswith("unexplained-ValueError on 2 devices (n/")
    assert found["test_ends_its_process"].message.endswith("its process ended with exit code 3")

    told = junit_file.written(results, 2, "2026-11-30T10:00:00Z", "small", tmp_path / "tests.xml")

    assert (told.tests, told.failures, told.errors, told.skipped) == (8, 3, 0, 1)
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "tests.xml"))
    names = {(case.classname, case.name) for case in suite}
    assert ("test_all", "test_passes[b::c/d]") in names
    devices = {each.value for case in suite for each in case.child(junitparser.Properties)}
    assert devices <= {"n/4", "n/6"}
    assert DEVICE_PROPERTY in (tmp_path / "tests.xml").read_text()


def test_a_test_that_hangs_is_killed_and_with_one_device_nothing_is_proven_against_it(tmp_path: Path) -> None:
    tests = "import signal\ndef test_hangs(): signal.pause()\ndef test_passes(): assert True\n"

    results = ended(tmp_path, tests, PLACES[:1], limit_s=3.0)

    assert [each.ending for each in results] == [AttemptEnding.FAULT, AttemptEnding.PASSED]
    assert results[0].message == "no end within 3 s; its process was killed; no second card has said the same"


@pytest.mark.parametrize(
    ("tests", "error", "words"),
    [
        ("import nothing_of_this_name", InfrastructureError, "1 files cannot be collected; test_all.py: E"),
        ("VALUE = 1", UsageError, "pytest found no test to run"),
    ],
)
def test_a_suite_without_tests_is_no_pass(tmp_path: Path, tests: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ended(tmp_path, tests, PLACES[:1])


def test_a_suite_that_skips_everything_proves_nothing() -> None:
    with pytest.raises(InfrastructureError, match=r"no test ran \(1 skipped\)"):
        require_proof([TestResult("a", AttemptEnding.SKIPPED, "", "", 0.0, "n/4")])
