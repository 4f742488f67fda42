"""What a job becomes: one `farm run`, as words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ci.config.settings import Config
from ci.queue.claims import JobClaim
from ci.runner.git_mirror import Commits

FARM = (str(Path(sys.executable).with_name("farm")),)


def run_command(farm: Sequence[str], claim: JobClaim, commits: Commits, config: Config, out: Path) -> list[str]:
    """The command that validates `claim`. It leaves its run in the store as `claim.run_id`, and says how far it is."""
    wanted, options = claim.repository, claim.options
    words = [*farm, "run", wanted.kernel, "--run-id", claim.run_id, "--out", str(out)]
    words += ["--platform", wanted.platform, "--repeats", str(wanted.repeats)]
    words += ["--devices", str(options.devices or wanted.devices)]
    for case in options.cases or wanted.cases:
        words += ["--case", case]
    words += ["--priority", claim.priority.value, "--wait", f"{config.runner.wait_s:g}"]
    if config.cluster.address:
        words += ["--address", config.cluster.address]
    words += ["--source", str(commits.directory), "--commit", commits.head]
    if commits.base and commits.base != commits.head:
        words += ["--base", commits.base]
    if claim.from_fork:
        words.append("--require-sandbox")
    return words
