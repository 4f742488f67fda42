"""What tests themselves must keep to: they use what their subject offers, and wait for conditions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "harness_repo" not in path.parts)
SLEEPERS = {
    "waiting.py",  # the one place that waits
    "chaos/driver.py",  # a trial that takes its time
    "chaos/monkey.py",  # does harm at random times
    "ci/outbox/test_waiting.py",  # event loops of their own
    "ci/runner/test_git_mirror.py",
    "ci/runner/test_runner.py",
    "ci/web/auth/test_members.py",
    "ci/web/test_live.py",
    "ci/server/test_killed_service.py",  # kills at random times
    "ci/server/test_schedule_process.py",
    "fakes/commit_platform.py",  # programs that hang or take their time
    "fakes/platforms.py",
    "fakes/recorded_farm.py",
    "farm/sweep/test_on_ray.py",
    "farm/test_api_awaited.py",  # an event loop of its own
}
# Other people's, and the standard library's, that have no public name.
NOT_OURS = {"_mapping", "_asdict", "_replace", "_fields", "_exit", "_private", "_protected_args", "_tag"}
STAND_INS = {"fakes/torch_npu.py"}  # does what PyPTO's driver of a device does, with PyPTO's own parts


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed() -> Iterator[tuple[str, ast.AST]]:
    for path in FILES:
        yield place(path), ast.parse(path.read_text())


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NOT_OURS


def private_uses(tree: ast.AST) -> Iterator[str]:
    """Private names of something else than the code's own class or module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = node.value
            if isinstance(owner, ast.Call):
                owner = owner.func  # super()
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls", "super")):
                yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from (part for text in texts for part in text.split(".") if is_private(part))


def test_no_test_uses_private_names_of_its_subject() -> None:
    found = {name: sorted(set(private_uses(tree))) for name, tree in parsed() if name not in STAND_INS}

    assert {name: uses for name, uses in found.items() if uses} == {}


def test_no_test_sleeps_where_it_could_wait() -> None:
    sleeping = {
        name
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "sleep"
    }

    assert sleeping - SLEEPERS == set()
