"""What a target of a job becomes: one `farm run`, as words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ci.config.settings import Config
from ci.queue.claims import JobClaim
from ci.queue.job_targets import PlannedTarget
from ci.runner.git_mirror import Commits

FARM = (str(Path(sys.executable).with_name("farm")),)


def run_command(
    farm: Sequence[str], claim: JobClaim, plan: PlannedTarget, commits: Commits, config: Config, out: Path
) -> list[str]:
    """The command that runs one target of `claim`. It leaves its run in the store as `claim.run_id`."""
    wanted, options = plan.target, claim.options
    words = [*farm, "run", *(["--suite", wanted.suite] if wanted.suite else [wanted.kernel])]
    words += ["--run-id", claim.run_id, "--out", str(out)]
    words += ["--platform", wanted.platform, "--repeats", str(wanted.repeats)]
    devices = options.devices or wanted.devices
    words += ["--devices", str(devices)]
    if wanted.witnesses:
        words += ["--witnesses", str(min(devices, wanted.witnesses))]
    if wanted.workflow:
        words += ["--workflow", wanted.workflow]
    for case in [] if wanted.suite else options.cases or wanted.cases:
        words += ["--case", case]
    words += ["--priority", claim.priority.value, "--wait", f"{config.runner.wait_s:g}"]
    if config.cluster.address:
        words += ["--address", config.cluster.address]
    words += ["--source", str(commits.directory), "--commit", commits.head]
    if commits.base and commits.base != commits.head:
        words += ["--base", commits.base]
    if plan.changed_only:
        words.append("--changed-only")
    if claim.from_fork:
        words.append("--require-sandbox")
    return [*words, "--", *wanted.files] if wanted.files else words
