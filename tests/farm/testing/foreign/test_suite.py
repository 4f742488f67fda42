"""What `farm test --profile` refuses before it leases a device, and which tests it hands to pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.testing.foreign.suite import ForeignRequest, arguments, run
from tests.farm.testing.foreign.small_profile import small


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "repository"
    made.mkdir()
    for name in ("test_a.py", "test_b.py", "other.py"):
        (made / name).touch()
    return made


def test_without_a_path_the_profiles_own_files_are_run(root: Path) -> None:
    assert arguments(("-k", "test_a.py"), root, small(), "npu") == [
        *(f"{root}/test_a.py", f"{root}/test_b.py"),
        *("-k", "test_a.py"),
    ]


def test_a_path_may_name_a_test(root: Path) -> None:
    assert arguments(("test_a.py::test_x[a/b]",), root, small(), "npu") == [f"{root}/test_a.py::test_x[a/b]"]


@pytest.mark.parametrize(
    ("path", "words"), [("test_c.py", "there is no test_c.py below"), ("..", r"\.\. is not below .*; see --root")]
)
def test_a_path_that_is_not_of_the_repository_is_refused(root: Path, path: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        arguments((path,), root, small(), "npu")


@pytest.mark.parametrize(
    ("profile", "platform", "words"),
    [
        ("pypto-lib", "a2a3", "profile pypto-lib runs no pytest"),
        ("flaggems", "a2a3sim", "has no platform 'a2a3sim'; use --platform with one of a2a3"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(root: Path, profile: str, platform: str, words: str) -> None:
    asked = ForeignRequest(profile, platform, root, (), 2, 0.0, root / "tests.xml")

    with pytest.raises(UsageError, match=words):
        run(asked, None, lambda what: None, lambda ahead, waited_s: None)
