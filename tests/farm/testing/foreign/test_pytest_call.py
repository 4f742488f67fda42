"""The command of a profile, as the command of one worker."""

from __future__ import annotations

import pytest

from farm.errors import UsageError
from farm.testing.foreign import pytest_call
from kernel.harness import profiles


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("simpler", ["--platform", "a2a3", "--device", "4", "-p", "no:cacheprovider"]),
        ("flaggems", ["-p", "no:cacheprovider", "--ref", "cpu"]),
        ("triton-ascend", ["-p", "no:cacheprovider"]),
    ],
)
def test_the_file_and_the_file_of_results_are_left_out_and_the_device_stays_where_it_was(
    profile: str, words: list[str]
) -> None:
    call = pytest_call.of(profiles.find(profile))

    assert call.words({"platform": "a2a3", "range": "4", "workdir": "/w"}, ["tests/a.py", "-x"]) == [
        *("python", "-m", "pytest", "-p", "farm_pytest_worker"),
        *words,
        *("tests/a.py", "-x", "--maxfail=0"),
    ]


def test_a_profile_without_pytest_is_refused() -> None:
    with pytest.raises(UsageError, match="pypto-lib runs no pytest: its command is 'python"):
        pytest_call.of(profiles.find("pypto-lib"))
