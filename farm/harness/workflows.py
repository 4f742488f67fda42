"""Which of the targets that were found belong to a task or a workflow of the profile, in the order of its tasks."""

from __future__ import annotations

from farm.errors import UsageError
from farm.harness.file_selection import Found
from kernel.errors import unknown
from kernel.harness.profile import Profile, listed
from kernel.harness.profile_workflows import SuiteTask
from kernel.harness.targets import file_of, variant_of


def narrowed(found: Found, profile: Profile, name: str) -> Found:
    """Return those of `found` that the task or workflow `name` has; each once, where its first task has it.

    Raises `UsageError` for an unknown name, and for a task without a target: it would prove nothing.
    """
    chosen: dict[str, None] = {}
    for task in tasks_of(profile, name):
        mine = [target for target in (*found.files, *found.skipped) if has(task, target, profile)]
        if not any(target in found.files for target in mine):
            more = f"; {len(mine)} are skipped on this platform" if mine else ""
            raise UsageError(f"task '{task.name}' has none of the {len(found.files)} targets that match{more}")
        chosen.update(dict.fromkeys(mine))
    return Found(
        files={target: found.files[target] for target in chosen if target in found.files},
        skipped={target: found.skipped[target] for target in chosen if target in found.skipped},
        parts=found.parts,
    )


def tasks_of(profile: Profile, name: str) -> list[SuiteTask]:
    """Return the task `name`, or those of the workflow `name`. Raises `UsageError` for an unknown name."""
    tasks = {each.name: each for each in profile.task}
    workflows = {each.name: [tasks[step] for step in each.tasks] for each in profile.workflow}
    if name not in tasks and name not in workflows:
        raise UsageError(unknown(f"task or workflow of profile {profile.name}", name, [*tasks, *workflows]))
    return workflows.get(name) or [tasks[name]]


def has(task: SuiteTask, target: str, profile: Profile) -> bool:
    """Return whether `target` belongs to `task`."""
    if not listed(file_of(target, profile), task.files):
        return False
    variant = variant_of(target, profile)
    return not task.variants or (variant is not None and variant.name in task.variants)
