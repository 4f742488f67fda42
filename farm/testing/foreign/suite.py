"""What `farm test --profile` does: set the repository up, lease the devices, run the suite, write one JUnit file."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm import paths
from farm.errors import InfrastructureError, UsageError
from farm.execution.person_lease import LeaseRequest, leased
from farm.harness import file_selection
from farm.leasing.device_lease import Waiting
from farm.testing.foreign import junit_file, pytest_call
from farm.testing.foreign import run as run_of_workers
from farm.testing.foreign.attempt import Place
from farm.testing.foreign.board import TestResult
from farm.testing.foreign.worker_process import ForeignSuite
from farm.testing.suite import DeviceSuite
from farm.timestamps import now
from kernel.harness import profiles
from kernel.harness.profile import Profile
from kernel.harness.step_record import SetupError
from kernel.platforms.command import Command


@dataclass(frozen=True, slots=True)
class ForeignRequest:
    """What a person asks for."""

    profile: str  # its name or path
    platform: str
    root: Path  # of the repository
    arguments: tuple[str, ...]  # paths of tests, then options for pytest
    devices: int
    wait_s: float
    junit: Path


def run(
    asked: ForeignRequest, address: str | None, preparing: Callable[[str], None], on_wait: Waiting
) -> tuple[DeviceSuite, list[TestResult]]:
    """Run the suite and write the JUnit file; the logs of the processes are left beside it.

    Raises:
        UsageError: The profile runs no pytest, or a path, platform or argument is wrong.
        InfrastructureError: The set-up failed, or nothing is proven.
    """
    profile = profiles.find(asked.profile)
    call, root = pytest_call.of(profile), asked.root.resolve()
    if asked.platform not in profile.platforms:
        known = ", ".join(sorted(profile.platforms))
        raise UsageError(
            f"profile {profile.name} has no platform '{asked.platform}'; use --platform with one of {known}"
        )
    words = arguments(asked.arguments, root, profile, asked.platform)
    factory = functools.partial(Command, profile, asked.platform, root)
    platform = factory()
    platform.prepare(paths.cache().resolve())
    platform.repository.on_step = preparing
    try:
        ready = platform.set_up()
    except SetupError as error:
        raise InfrastructureError(f"the set-up of {profile.name} failed: {error}") from error
    moved = tuple(word.replace(str(root), str(ready.root), 1) if word.startswith(str(root)) else word for word in words)
    narrowed = profile.of("", asked.platform)
    suite = ForeignSuite(narrowed, asked.platform, call, ready, moved, profile.longest_s(asked.platform))
    request = LeaseRequest(
        asked.devices,
        suite.limit_s,
        f"farm test --profile {profile.name}",
        asked.wait_s,
        apart=True,
        simulated=profile.platforms[asked.platform].simulated,
    )
    begin = now()
    with leased(factory, request, address, preparing, on_wait, lambda device, who: None) as held:
        places = [
            Place(device, index, platform.card(index))
            for device, index in zip(held.entry.devices, held.indices, strict=True)
        ]
        results = run_of_workers.run(suite, places, _fresh(asked.junit), held.check)
    ended = junit_file.written(results, asked.devices, begin, profile.name, asked.junit)
    run_of_workers.require_proof(results)
    return ended, results


def arguments(words: Sequence[str], root: Path, profile: Profile, platform: str) -> list[str]:
    """Return what pytest gets: paths as absolute ones, the profile's own files where `words` names none, and options.

    Raises `UsageError` for a path that is not there or lies outside of `root`.
    """
    options = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    if not options:
        found = file_selection.discover(root, (), profile, platform)
        return [*(str(root / file) for file in found.files), *words]
    return [*(_absolute(word, root) for word in words[:options]), *words[options:]]


def _absolute(word: str, root: Path) -> str:
    """A path of tests, with the name of a test behind it perhaps."""
    path, colons, test = word.partition("::")
    found = (root / path).resolve()
    if not found.exists():
        raise UsageError(f"there is no {path} below {root}; name files below --root")
    if not found.is_relative_to(root):
        raise UsageError(f"{path} is not below {root}; see --root")
    return f"{found}{colons}{test}"


def _fresh(junit: Path) -> Path:
    """A new directory beside the JUnit file, for logs."""
    directory = junit.absolute().with_name(f"{junit.stem}-logs")
    directory.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=directory))
