"""`farm test` passes where tests ran and passed, and nowhere else, whatever exit code pytest ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import InfrastructureError
from farm.testing import suite

RUNS = "def test_a(): pass\n"
SKIPPED = "import pytest\n@pytest.mark.skip\ndef test_a(): assert False\n"
ENDS_ITS_PROCESS = "import os\nos._exit(0)\n"


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
        suite.run([str(tmp_path), *arguments], 1, [], tmp_path / "tests.xml", quiet=True)

    assert len(refused.value.lines) == 1


def test_one_that_ran_beside_skipped_ones_counts(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(RUNS + SKIPPED.replace("test_a", "test_b"))

    ended = suite.run([str(tmp_path)], 1, [], tmp_path / "tests.xml", quiet=True)

    assert (ended.tests, ended.skipped, ended.failures, ended.errors) == (2, 1, 0, 0)
