"""`farm test` passes where tests ran and passed, and nowhere else, whatever exit code pytest ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import InfrastructureError
from farm.testing import suite
from farm.testing.outcomes import OPTION, Outcomes, read

pytest_plugins = ["pytester"]

RUNS = "def test_a(): pass\n"
SKIPPED = "import pytest\n@pytest.mark.skip\ndef test_a(): assert False\n"
ENDS_ITS_PROCESS = "import os\nos._exit(0)\n"
XDIST = ["-p", "xdist.plugin", "--max-worker-restart=0"]


@pytest.fixture(autouse=True)
def few_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other packages take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize(
    ("tests", "conftest", "arguments", "words"),
    [
        (SKIPPED, "", [], r"no test ran \(1 skipped\)"),
        (RUNS, "", ["--collect-only"], r"no test ran \(0 skipped\)"),
        (RUNS, ENDS_ITS_PROCESS, [], "ended without results"),
    ],
    ids=["all skipped", "only collected", "ends its process"],
)
def test_where_no_test_ran_nothing_passes(
    tests: str, conftest: str, arguments: list[str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(tests)
    (tmp_path / "conftest.py").write_text(conftest)

    with pytest.raises(InfrastructureError, match=words) as refused:
        suite.run([str(tmp_path), *XDIST, *arguments], 1, [], tmp_path / "tests.xml", quiet=True)

    assert len(refused.value.lines) == 1


def test_one_that_ran_beside_skipped_ones_counts(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(RUNS + SKIPPED.replace("test_a", "test_b"))

    ended = suite.run([str(tmp_path), *XDIST], 1, [], tmp_path / "tests.xml", quiet=True)

    assert (ended.tests, ended.skipped, ended.failures, ended.errors) == (2, 1, 0, 0)


TWO = "def test_a(): pass\ndef test_b(): pass\n"
WORKER = "'PYTEST_XDIST_WORKER' in os.environ"
EXIT = "pytest.exit('done', returncode=0)"


def noted(pytester: pytest.Pytester, tests: str, conftest: str, *arguments: str) -> Outcomes:
    """What is noted of the session of such a suite."""
    (pytester.path / "test_it.py").write_text(tests)
    (pytester.path / "conftest.py").write_text(conftest)
    note = pytester.path / "note"
    pytester.inline_run("-p", "farm.testing.outcomes", f"{OPTION}={note}", *arguments)
    return read(note)


def hook(signature: str, *body: str) -> str:
    return "\n    ".join([f"import os, pytest\ndef {signature}:", *body]) + "\n"


@pytest.mark.parametrize(
    "conftest",
    [
        hook("pytest_collectstart(collector)", EXIT),
        hook("pytest_collection_modifyitems()", EXIT),
        hook("pytest_runtest_setup(item)", EXIT),
        hook("pytest_runtest_setup(item)", f"if item.name == 'test_b': {EXIT}"),
        hook("pytest_runtest_teardown(item)", f"if item.name == 'test_b': {EXIT}"),
        hook("pytest_runtest_logreport(report)", f"if report.when == 'call': {EXIT}"),
        hook("pytest_runtest_teardown(item)", "item.session.shouldstop = 'enough'"),
        hook("pytest_runtest_protocol(item)", "return True if item.name == 'test_b' else None"),
        hook("pytest_collection_modifyitems(items)", "del items[1:]"),
        hook("pytest_collection_modifyitems(items)", "items.clear()"),
        hook("pytest_collection_finish(session)", "session.items.clear()"),
        hook(
            "pytest_collection_modifyitems(config, items)",
            "config.hook.pytest_deselected(items=list(items))",
            "items.clear()",
        ),
    ],
    ids=[
        "exit while it collects",
        "exit when all is collected",
        "exit before the first test",
        "exit before the last test",
        "exit after the last test",
        "exit when a result is reported",
        "stopped after a test",
        "a test that nobody runs",
        "a test taken out",
        "all taken out",
        "all taken out late",
        "all deselected",
    ],
)
def test_a_session_that_a_hook_ends_early_or_empties_is_in_doubt(conftest: str, pytester: pytest.Pytester) -> None:
    assert noted(pytester, TWO, conftest).doubt


def test_a_test_that_ends_the_session_leaves_the_others_without_an_outcome(pytester: pytest.Pytester) -> None:
    found = noted(pytester, f"import pytest\ndef test_a(): {EXIT}\ndef test_b(): pass\n", "")

    assert found.doubt.startswith("2 of 2 collected tests came to no outcome, the first is test_it.py::test_a")


def test_a_session_whose_tests_all_ended_is_in_no_doubt(pytester: pytest.Pytester) -> None:
    found = noted(pytester, TWO + SKIPPED.replace("test_a", "test_c") + "def test_d(): assert False\n", "")

    assert (len(found.finished), found.missing, found.doubt) == (4, [], "")


def test_what_an_option_takes_out_is_no_doubt(pytester: pytest.Pytester) -> None:
    found = noted(pytester, TWO, "", "-k", "test_a")

    assert (found.collected, found.deselected, found.doubt) == (["test_it.py::test_a"], 1, "")


def test_a_worker_that_ended_before_its_session_is_a_doubt() -> None:
    found = Outcomes(collected=["a"], finished=["a"], dropped=[], deselected=0, asked=False, lost=["gw1"])

    assert "process gw1" in found.doubt


@pytest.mark.parametrize(
    ("conftest", "words"),
    [
        (hook("pytest_runtest_logfinish()", EXIT), "came to no outcome"),
        (hook("pytest_runtest_logfinish()", f"{WORKER} or os._exit(0)"), "ended without results"),
        (hook("pytest_sessionfinish()", f"{WORKER} and os._exit(0)"), "process gw0"),
        (hook("pytest_collection_modifyitems(items)", "items.clear()"), "2 of 2 collected tests"),
    ],
    ids=["exit after a test", "the process ends", "a worker ends", "all taken out"],
)
def test_no_suite_that_ended_early_passes(
    conftest: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the process that runs this test
    (tmp_path / "test_it.py").write_text(TWO)
    (tmp_path / "conftest.py").write_text(conftest)

    with pytest.raises(InfrastructureError, match=words) as refused:
        suite.run([str(tmp_path), *XDIST], 1, [], tmp_path / "tests.xml", quiet=True)

    assert len(refused.value.lines) == 1
    assert not list(tmp_path.glob(".tests.xml.*"))
