"""What `farm suite check --set-up` does: runs a profile's set-up steps here, and says what each has made."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm import paths
from farm.cli.exit_codes import ExitCode
from farm.errors import UsageError
from farm.execution.preflight import to_stderr
from farm.harness.preparation import prepared
from farm.report.harness.figures import outcome_of
from farm.text import one_line
from jobs.records import Arm
from kernel.harness import step_record
from kernel.harness.profile import Profile
from kernel.harness.repository_copy import regular_files
from kernel.harness.step_record import TREE, SetupStep
from kernel.platforms.command import Command


@dataclass(frozen=True, slots=True)
class Made:
    """One step on one of the profile's platforms."""

    platform: str
    step: SetupStep
    outputs: tuple[tuple[str, int, int], ...]  # path, files, bytes

    def as_dict(self) -> dict[str, object]:
        """As `--json` prints it."""
        return {
            "platform": self.platform,
            "name": self.step.name,
            "address": self.step.address,
            "seconds": self.step.seconds,
            "cached": self.step.cached,
            "skipped": self.step.skipped,
            "problem": self.step.problem,
            "log": str(self.step.log or ""),
            "captured": dict(self.step.captured),
            "outputs": [{"path": path, "files": files, "bytes": size} for path, files, size in self.outputs],
        }


def set_up(profile: Profile, root: Path) -> list[Made]:
    """Run the steps for each platform; progress goes to the standard error. Raises `UsageError` without any."""
    if not profile.setup:
        raise UsageError(f"profile {profile.name} has no [[setup]]; --set-up has nothing to run")
    cache = paths.cache().resolve()
    step_record.forget_failures(cache)
    made = []
    for name in sorted(profile.platforms):
        for found in prepared({Arm.HEAD: Command(profile, name, root)}, cache, to_stderr):
            made += [Made(name, step, _outputs(profile, step, cache)) for step in found.steps]
    return made


def shown(steps: Sequence[Made]) -> Iterator[str]:
    """Yield a line for each step, and one for each of its outputs and variables."""
    for made in steps:
        step = made.step
        log = f" (log: {step.log})" if step.log is not None else ""
        yield f"{made.platform}: set-up {step.name}: {one_line(outcome_of(step))}{log}"
        for path, files, size in made.outputs:
            yield f"  {path}: {files} files, {size / 1e6:.1f} MB"
        for name, value in step.captured.items():
            yield f"  {name}={one_line(value)}"


def require_made(steps: Sequence[Made]) -> None:
    """End the command where a step failed: by itself that says nothing about a kernel."""
    if any(made.step.problem for made in steps):
        sys.exit(ExitCode.ERRORED)


def _outputs(profile: Profile, step: SetupStep, cache: Path) -> tuple[tuple[str, int, int], ...]:
    if not step.address or step.problem:
        return ()
    tree = cache / "set-ups" / step.address[:2] / step.address / TREE
    outputs = next(each.outputs for each in profile.setup if each.name == step.name)
    found = []
    for output in outputs:
        files = list(regular_files(tree / output))
        found.append((output, len(files), sum(file.stat().st_size for file in files)))
    return tuple(found)
