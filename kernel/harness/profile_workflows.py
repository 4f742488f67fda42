"""Named tasks of a profile, each a selection of its targets, and workflows of several. All set-up steps go before."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from kernel.harness.profile_sections import ProfileSection

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class SuiteTask(ProfileSection):
    """Targets under one name: accuracy, performance. A variant of a file belongs where the task names it."""

    name: str = Field(pattern=_NAME)
    files: list[str] = Field(default_factory=lambda: ["*"])  # globs on the path; `*` also matches `/`
    variants: list[str] = Field(default_factory=list)  # names; empty: every variant, and files that have none


class SuiteWorkflow(ProfileSection):
    """Tasks in their order. It passes where every target of every task does."""

    name: str = Field(pattern=_NAME)
    tasks: list[str] = Field(min_length=1)


def require_consistent(tasks: Sequence[SuiteTask], workflows: Sequence[SuiteWorkflow], variants: Sequence[str]) -> None:
    """Raise `ValueError` where a name is used twice, or a task or variant is named that there is not."""
    names = [*(each.name for each in tasks), *(each.name for each in workflows)]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two of task and workflow are called '{doubled[0]}'")
    for task in tasks:
        if unknown := [name for name in task.variants if name not in variants]:
            raise ValueError(f"task '{task.name}' names the unknown variant '{unknown[0]}'")
    known = {each.name for each in tasks}
    for workflow in workflows:
        if unknown := [name for name in workflow.tasks if name not in known]:
            raise ValueError(f"workflow '{workflow.name}' names the unknown task '{unknown[0]}'")
