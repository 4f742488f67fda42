"""Tasks and workflows of a profile: names that are used twice or do not exist are refused."""

from __future__ import annotations

import pytest

from kernel.harness.profile import Profile, ProfileError, parse

SMALL = """
name = "mine"
summary = "one"
command = ["run", "{file}", "-d", "{device}"]
results = { by = "exit" }
files = { include = ["*.py"] }
platforms = { sim = { simulated = true, clock = "host" } }
variants = [{ name = "speed", arguments = ["--speed"], files = ["*"] }]
task = [{ name = "accuracy", files = ["a/*"] }, { name = "performance", variants = ["speed"] }]
workflow = [{ name = "gate", tasks = ["accuracy", "performance"] }]
"""


def changed(before: str = "", after: str = "") -> Profile:
    return parse(SMALL.replace(before, after) if before else SMALL, "mine.toml")


def test_a_task_takes_every_file_and_variant_that_it_does_not_narrow() -> None:
    accuracy, performance = changed().task

    assert (accuracy.files, accuracy.variants) == (["a/*"], [])
    assert (performance.files, performance.variants) == (["*"], ["speed"])


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('name = "gate"', 'name = "accuracy"', "two of task and workflow are called 'accuracy'"),
        ('variants = ["speed"]', 'variants = ["sped"]', "task 'performance' names the unknown variant 'sped'"),
        ('["accuracy", "performance"]', '["accuracy", "perf"]', "workflow 'gate' names the unknown task 'perf'"),
        ('["accuracy", "performance"]', "[]", "workflow.0.tasks: "),
        ("tasks = ", "task = ", "workflow.0.task: no such key; did you mean 'tasks'?"),
    ],
)
def test_what_does_not_fit_together_is_refused(before: str, after: str, problem: str) -> None:
    with pytest.raises(ProfileError, match=problem.replace("?", r"\?")):
        changed(before, after)
