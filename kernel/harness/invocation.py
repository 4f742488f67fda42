"""How a target is called: its command's words and its environment, from the profile's templates."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernel.harness.kernel import HarnessCall
from kernel.harness.profile import Profile
from kernel.harness.targets import file_of, variant_of

# Ray renumbers devices by it, and CANN drops ids it does not know without a word: only a profile may set it.
_RENUMBERING = "ASCEND_RT_VISIBLE_DEVICES"


def values(
    profile: Profile, root: Path, platform: str, target: str, call: HarnessCall, device: int, work: Path
) -> dict[str, str]:
    """Return what each placeholder stands for in one trial."""
    devices = (device, *call.further)
    return {
        "file": str(root / file_of(target, profile)),
        "root": str(root),
        "device": ",".join(str(each) for each in devices),
        "range": ranges(devices),
        "index": ",".join(str(place) for place in range(len(devices))),
        "platform": platform,
        "workdir": str(work),
        "seed": str(call.seed),
        "data": call.replay,
    }


def words(profile: Profile, target: str, call: HarnessCall, known: Mapping[str, str]) -> list[str]:
    """Return the words of the command, without the options that the file is asked for."""
    templates = list(profile.command)
    replay = profile.data.replay
    if replay is not None and call.save:
        templates += replay.save
    if replay is not None and call.replay:
        templates += replay.use
    variant = variant_of(target, profile)
    return [*(word.format_map(known) for word in templates), *(variant.arguments if variant is not None else [])]


def environment(profile: Profile, further: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a trial; `further` are the platform's own variables."""
    patterns = profile.environment.inherit
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != _RENUMBERING and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }
    own = {**profile.environment.set, **further}
    return {**inherited, **{name: value.format_map(known) for name, value in own.items()}}


def ranges(devices: Sequence[int]) -> str:
    """Return device ids as ranges: "4-7", or "4-5,7" where there is a gap."""
    runs: list[list[int]] = []
    for device in sorted(devices):
        if runs and device == runs[-1][-1] + 1:
            runs[-1].append(device)
        else:
            runs.append([device])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
