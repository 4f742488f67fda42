"""The content address of a set-up step: equal for equal declarations, inputs, tools and earlier steps."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

from kernel.errors import HarnessError
from kernel.harness import invocation
from kernel.harness.kernel import HarnessCall
from kernel.harness.profile import Profile, listed
from kernel.harness.profile_sections import placeholders
from kernel.harness.profile_setup import Setup
from kernel.harness.repository_copy import Listing
from kernel.harness.step_record import SetupStep

_FORM = 1  # of what a step leaves in the cache: raised where a cache of before cannot be read
_KNOWN = frozenset({"root", "platform", "workdir"})  # what a variable may name before there is a device
# Where a person works, which differs between shells. What is found through them is named by the toolchain's versions.
_PLACES = ("PATH", "HOME", "LANG", "LC_*", "TZ")


def address(
    step: Setup,
    profile: Profile,
    platform: str,
    listing: Listing,
    digests: MutableMapping[str, str],
    toolchain: Mapping[str, str],
    earlier: Sequence[SetupStep],
    scripts: Sequence[str],
) -> str:
    """Return the SHA-256 of everything that decides what `step` makes.

    Args:
        step: One of the profile's.
        profile: Whose environment the step has.
        platform: One of the profile's.
        listing: The repository.
        digests: By path, filled with those of the inputs.
        toolchain: Versions by name.
        earlier: The steps before it.
        scripts: Templates of what is sourced before its command.

    Raises:
        HarnessError: An input matches no file.
    """
    paths = inputs(step, listing)
    for path in paths:
        if path not in digests:
            digests[path] = listing.digest(path)
    parts = {
        "form": _FORM,
        "step": step.model_dump(exclude={"limits", "network"}),
        "platform": platform,
        "inputs": {path: digests[path] for path in paths},
        "toolchain": dict(toolchain),
        "environment": _declared(profile, platform, listing.root),
        "scripts": [[script, _contents(script, platform, listing)] for script in scripts],
        "earlier": [[each.name, each.address or "skipped"] for each in earlier],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode(errors="surrogateescape")).hexdigest()


def inputs(step: Setup, listing: Listing) -> list[str]:
    """Return the paths of a step's inputs, without what it makes itself. Raises `HarnessError` for a glob without."""
    for each in step.inputs:
        if not any(fnmatch.fnmatchcase(path, each) for path in listing.files):
            raise HarnessError(
                "setup", f"set-up step {step.name}: the input '{each}' matches no file of the repository"
            )
    return [path for path in listing.files if listed(path, step.inputs)]


def environment(profile: Profile, platform: str, root: Path, work: Path) -> dict[str, str]:
    """Return the environment of a trial without the variables that name a device, a file or a trial's data."""
    own = {**profile.environment.set, **profile.platforms[platform].set}
    later = {name for name, text in own.items() if placeholders(text) - _KNOWN}
    known = invocation.values(profile, root, platform, "", HarnessCall(), 0, work)
    found = invocation.environment(profile, profile.platforms[platform].set, known)
    return {name: value for name, value in found.items() if name not in later}


def _declared(profile: Profile, platform: str, root: Path) -> dict[str, str]:
    """The values that are inherited, and the templates of those that are set: their values differ between places."""
    own = {**profile.environment.set, **profile.platforms[platform].set}
    given = environment(profile, platform, root, root)
    declared = {name: own.get(name, value) for name, value in given.items()}
    return {name: value for name, value in declared.items() if name in own or not listed(name, _PLACES)}


def _contents(script: str, platform: str, listing: Listing) -> str:
    """The digest of a script to source; "" for one that an earlier step makes, whose address says it."""
    known = {"root": str(listing.root), "platform": platform, "workdir": "", "output": ""}
    path = listing.root / script.format_map(known)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
