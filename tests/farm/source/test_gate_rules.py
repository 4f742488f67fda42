"""Which files of a commit judge and which are judged."""

from __future__ import annotations

import pytest

from farm.source.gate_rules import HARNESS, changed_between
from farm.source.git_repository import GitRepository
from tests.fakes.git_remote import GitRemote


@pytest.mark.parametrize(
    ("path", "is_rule"),
    [
        ("kernel/tolerance.py", True),
        ("kernel/qkv_proj_rope/program.py", False),
        ("farm/gates/budget.py", True),
        ("docs/layers.md", False),
    ],
)
def test_a_kernels_program_is_no_rule_and_what_judges_it_is(
    tmp_path_factory: pytest.TempPathFactory, path: str, is_rule: bool
) -> None:
    remote = GitRemote(tmp_path_factory.mktemp("git") / "remote.git")
    head = remote.commit({path: "changed"}, remote.main)

    found = changed_between(GitRepository(remote.path), remote.main, head, HARNESS)

    assert found == ([path] if is_rule else [])
