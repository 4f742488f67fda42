"""What of a suite's repository judges, and which changes of it are noticed."""

from __future__ import annotations

import pytest

from farm.source.suite_rules import changed_rules
from jobs.sandbox.source_tree import Tree
from kernel.harness.profile import Profile
from kernel.harness.profile_rules import Rules
from tests.fakes.harness import shipped

FILE = """
RTOL = {"rtol": 1e-3}

def golden_matmul(a, b):
    return a @ b

def kernel(a, b, atol=1e-3):
    return fast(a, b)

def main():
    run(kernel, golden_matmul, atol=1e-3)
"""


def profile(rules: Rules | None = None) -> Profile:
    return shipped().model_copy(update={"rules": rules or Rules(files=["golden/**"])})


def changed(old: str, new: str, path: str = "a.py", text: str = FILE) -> list[str]:
    base = Tree.of(".", {path: text.encode()})
    head = Tree.of(".", {path: text.replace(old, new).encode()})
    return changed_rules(head, base, profile(), ["a.py"])


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("return a @ b", "return b @ a", "golden_matmul"),
        ("run(kernel, golden_matmul, atol=1e-3)", "run(kernel, golden_matmul, atol=1)", "atol"),
        ('{"rtol": 1e-3}', '{"rtol": 1}', "rtol"),
        ("atol=1e-3):", "atol=1):", "atol"),
        ("def golden_matmul(a, b):\n    return a @ b\n", "", "golden_matmul"),
        ("def main", "def golden_other(): pass\ndef main", "golden_other"),
        ("def main():", "def main():\n    options.atol = 1", "atol"),
        ("def main():", "golden: int = 3\ndef main():", "golden"),
        ("def main():", "def golden_matmul(a, b): return kernel(a, b)\ndef main():", "golden_matmul"),
    ],
)
def test_a_change_of_a_golden_or_a_tolerance_is_one_of_the_rules(old: str, new: str, name: str) -> None:
    assert changed(old, new) == [f"a.py: {name}"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return fast(a, b)", "return faster(a, b)"),
        ("    return a @ b", "    # the plain product\n\n    return (a @ b)"),
        ("def main():", "\n\n\ndef main():"),
    ],
)
def test_a_change_of_the_program_or_of_the_layout_is_none(old: str, new: str) -> None:
    assert changed(old, new) == []


def test_a_file_of_rules_counts_whatever_changes_in_it() -> None:
    assert changed("return fast", "return faster", path="golden/validation.py") == ["golden/validation.py"]


def test_a_new_target_brings_rules_that_nobody_has_seen_and_a_new_helper_only_those_that_it_has() -> None:
    base = Tree.of(".", {"a.py": b"pass"})
    head = Tree.of(".", {"a.py": b"pass", "new.py": b"pass", "part.py": b"pass", "judge.py": b"def golden(): pass"})

    found = changed_rules(head, base, profile(), ["a.py", "new.py"])

    assert found == ["judge.py: golden", "new.py (new: it brings its own golden and tolerances)"]


def test_what_cannot_be_read_is_not_passed_over() -> None:
    base, head = Tree.of(".", {"a.py": b"pass"}), Tree.of(".", {"a.py": b"def ("})

    assert changed_rules(head, base, profile(), ["a.py"]) == ["a.py (cannot be read as Python)"]
