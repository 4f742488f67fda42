"""Tasks and workflows: which targets they have, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.harness.file_selection import Found, discover
from farm.harness.workflows import narrowed
from kernel.harness.profile import Profile, parse

PROFILE = """
name = "mine"
summary = "one"
command = ["run", "{file}", "-d", "{device}"]
results = { by = "exit" }
files = { include = ["*/*.py"] }
markers = { skip = [{ mark = "no-sim", platforms = ["sim"], reason = "needs a device" }] }
platforms = { sim = { simulated = true, clock = "host" } }
variants = [
    { name = "acc", arguments = ["--acc"], files = ["ops/*"] },
    { name = "speed", arguments = ["--speed"], files = ["ops/*"] },
]

[[task]]
name = "accuracy"
variants = ["acc"]

[[task]]
name = "performance"
variants = ["speed"]

[[task]]
name = "examples"
files = ["examples/*"]

[[task]]
name = "skipped"
files = ["examples/last.py"]

[[task]]
name = "nothing"
files = ["none/*"]

[[workflow]]
name = "gate"
tasks = ["performance", "accuracy", "performance"]

[[workflow]]
name = "hollow"
tasks = ["accuracy", "nothing"]
"""


@pytest.fixture
def profile() -> Profile:
    return parse(PROFILE, "mine.toml")


@pytest.fixture
def found(tmp_path: Path, profile: Profile) -> Found:
    for name in ("ops/add.py", "ops/mul.py", "examples/first.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "examples/last.py").write_text("# no-sim\n")
    return discover(tmp_path, (), profile, "sim")


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("accuracy", ["ops/add.py[acc]", "ops/mul.py[acc]"]),
        ("gate", ["ops/add.py[speed]", "ops/mul.py[speed]", "ops/add.py[acc]", "ops/mul.py[acc]"]),
        ("examples", ["examples/first.py"]),
    ],
)
def test_the_targets_are_those_of_its_tasks_in_their_order(
    found: Found, profile: Profile, name: str, targets: list[str]
) -> None:
    assert list(narrowed(found, profile, name).files) == targets


def test_what_is_skipped_stays_so(found: Found, profile: Profile) -> None:
    assert narrowed(found, profile, "examples").skipped == {"examples/last.py": "needs a device"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("hollow", "task 'nothing' has none of the 5 targets that match"),
        ("skipped", "task 'skipped' has none of the 5 targets that match; 1 are skipped on this platform"),
        ("gates", "unknown task or workflow of profile mine 'gates'; did you mean 'gate'?"),
    ],
)
def test_a_task_that_proves_nothing_and_an_unknown_name_are_refused(
    found: Found, profile: Profile, name: str, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        narrowed(found, profile, name)

    assert problem in str(caught.value)
