"""What a kernel file says of itself in its text: the marks in its head, and whether it can replay data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kernel.harness.profile import Profile

_MOST_BYTES = 4 << 20  # of a file's text; a kernel is some tens of KB
MOST_DEVICES = 64  # of one trial


@dataclass(frozen=True, slots=True)
class Head:
    """One kernel file, as far as it can be known without running it."""

    runnable: bool
    devices: int  # one trial takes
    skipped: str  # why it does not run on the platform; "" where it does
    replays: bool  # can keep its data and take them from an earlier run


def read(path: Path, profile: Profile, platform: str) -> Head:
    """Read the file at `path`. Raises `OSError`; text that is not UTF-8 is read with replacements."""
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode(errors="replace")
    head = "\n".join(text.splitlines()[: profile.markers.head_lines])
    marked = re.search(profile.markers.devices, head, re.MULTILINE) if profile.markers.devices else None
    skips = (each for each in profile.markers.skip if platform in each.platforms)
    return Head(
        runnable=bool(re.search(profile.files.runnable, text)),
        devices=max(1, min(int(marked["devices"]), MOST_DEVICES)) if marked else 1,
        skipped=next((each.reason for each in skips if re.search(each.mark, head, re.MULTILINE)), ""),
        replays=profile.data.replay is not None and bool(re.search(profile.data.replay.offered, text)),
    )
