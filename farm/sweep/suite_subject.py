"""A sweep over files of a suite: every device runs each of them with the same inputs, and their bits are compared."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from farm.errors import UsageError
from farm.execution import preflight
from farm.execution.resolved_run import ResolvedRun
from farm.harness import file_selection
from farm.harness.profile_check import check
from farm.harness.worker import HarnessWorker
from farm.model.run import RunRequest
from farm.model.sweep import SweepRequest
from farm.model.timeouts import Timeouts
from farm.source.provenance import commit_of, is_exactly_its_commit
from jobs.content_address import content_address
from kernel.harness import profiles
from kernel.harness.kernel import INPUT_SET, HarnessKernel
from kernel.harness.profile import Profile
from kernel.platforms.command import Command
from kernel.spec import Kernel


def request(
    named: str,
    root: Path,
    patterns: Sequence[str],
    platform: str,
    *,
    seeds: list[int],
    repeats: int,
    devices: int | None,
    timeouts: Timeouts,
) -> SweepRequest:
    """Return the request for the files of the suite `named` below `root` that `patterns` match.

    Raises `UsageError` or `ProfileError`.
    """
    profile = profiles.find(named)
    _require(profile, platform, timeouts)
    found = file_selection.discover(root, patterns, profile, platform)
    single = [file for file, head in found.files.items() if head.devices == 1]
    if not single:
        raise UsageError(f"no file of {profile.name} that matches takes one device, and a sweep asks each device alone")
    return SweepRequest(
        kernel=profile.name,
        cases=single,
        platform=platform,
        seeds=seeds,
        repeats=repeats,
        input_set=INPUT_SET,
        devices=devices,
        suite=str(Path(named).resolve()) if profiles.is_path(named) else named,
        root=str(root),
    )


def resolved(asked: SweepRequest, timeouts: Timeouts) -> ResolvedRun:
    """Return what each cell is a part of. Raises `UsageError`, `ProfileError` or `PlatformUnavailableError`."""
    root, profile = Path(asked.root), profiles.find(asked.suite)
    _require(profile, asked.platform, timeouts)
    if not root.is_dir():
        raise UsageError(f"the repository {root} of the sweep is gone")
    factory = functools.partial(Command, profile, asked.platform, root)
    run = RunRequest(
        kernel=asked.kernel,
        cases=asked.cases,
        platform=asked.platform,
        devices=asked.devices or 1,
        repeats=asked.repeats,
        input_set=asked.input_set,
        seed=max(asked.seeds),
    )
    preflight.amounts(run)
    platform = factory()
    preflight.require(platform)
    return ResolvedRun(
        run,
        HarnessKernel(profile, root, tuple(asked.cases)),
        factory,
        platform,
        simulated=profile.platforms[asked.platform].simulated,
        self_validating=True,
        worker=HarnessWorker,
    )


def addresses(asked: SweepRequest, kernel: Kernel) -> dict[str, str]:
    """Return case → address of what every device is to run: the whole commit, since what a file imports is not known.

    A repository that is not exactly its commit has no address that says so, and its sweep cannot be resumed.
    """
    root = Path(asked.root)
    commit = commit_of(root) if is_exactly_its_commit(root) else ""
    assert isinstance(kernel, HarnessKernel)
    return {
        case: content_address({"commit": commit, "file": kernel.path(case).read_text(errors="replace")})
        if commit
        else ""
        for case in asked.cases
    }


def _require(profile: Profile, platform: str, timeouts: Timeouts) -> None:
    check(profile, platform, timeouts.trial_s)
    if not (profile.data.seeded and profile.data.has_bits):
        raise UsageError(
            f"a sweep of {profile.name} could compare nothing: its profile needs `[data] seeded = true` and outputs or "
            "digests; farm run --suite with --witnesses compares claims and times"
        )
