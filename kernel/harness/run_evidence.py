"""What a run of a suite's file leaves as evidence: swim lanes, times, digests of outputs, and data for later runs."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kernel.errors import HarnessError
from kernel.harness import lanes, own_digests, results
from kernel.harness.lanes import matches
from kernel.harness.perf_records import Recording
from kernel.harness.profile import Profile
from kernel.harness.reading import Seen
from kernel.harness.results import ResultsError
from kernel.platforms.protocol import Claim


def recording(profile: Profile, work: Path, seen: Seen) -> Recording:
    """The tasks and the wall time of the run's swim lanes. Optional evidence: it decides no verdict."""
    if profile.swimlane is None:
        return Recording((), None)
    found = lanes.read(work, profile.swimlane)
    if seen.losses:
        return Recording(found.tasks, None, f"a partial recording: {seen.losses}", partial=True)
    return found


def timed(profile: Profile, work: Path, seen: Seen, recorded: Recording) -> tuple[Seen, float | None, str]:
    """The single time of the target, and in words why there is none: of its files, its lines, or its swim lanes."""
    if recorded.partial:
        return seen, None, recorded.untimed
    if not profile.times:
        return seen, *_time(profile, seen, recorded)
    problems = []
    for each in profile.times:
        try:
            us, spread = results.times(work, each)
        except ResultsError as error:
            problems.append(str(error))
        else:
            return replace(seen, times={**seen.times, each.column: spread}), us, ""
    return seen, None, "; ".join(problems)


def _time(profile: Profile, seen: Seen, recorded: Recording) -> tuple[float | None, str]:
    """The median or mean that was printed, of the one mode or the primary one; else the swim lanes' time."""
    printed, times = profile.lines, seen.times
    chosen = times.get(printed.primary_mode) or (next(iter(times.values())) if len(times) == 1 else None)
    if chosen is not None:
        return _finite(chosen.mean_us if printed.statistic == "mean" else chosen.median_us, "the harness printed")
    if times:
        return None, f"{len(times)} modes were timed ({', '.join(times)}), and the profile names no primary one"
    return recorded.wall_us, recorded.untimed


def digested(profile: Profile, work: Path, claims: Mapping[str, Claim]) -> tuple[dict[str, Claim], str]:
    """`claims` with the digests of the outputs, and why those that the program should give are missing.

    They are of the files the run has kept, or what the run's own processes say.
    """
    data = profile.data
    kept = {path.stem: path for path in matches(work, data.outputs)}
    found = {
        name: replace(claim, sha256=digest(kept[name]), digest_by="file") if name in kept else claim
        for name, claim in claims.items()
    }
    told = own_digests.read(work, data.digests) if data.digests is not None else own_digests.OwnDigests()
    return own_digests.merged(found, told), told.problem


def keep_data(profile: Profile, work: Path, where: Path) -> None:
    """Move what the run has saved to `where`. Raises `HarnessError` where it saved nothing as it was asked to."""
    where.parent.mkdir(parents=True, exist_ok=True)
    if profile.data.frozen_by_wrapper:
        own_digests.move_inputs(work, where)
        return
    replay = profile.data.replay
    found = [path for path in matches(work, [replay.data]) if path.is_dir()] if replay is not None else []
    if not found:
        raise HarnessError("nothing-measured", "the harness was asked to save its data, and saved none")
    shutil.move(found[0], where)


def _finite(us: float, whose: str) -> tuple[float | None, str]:
    """Return the value where it is finite and more than 0: only that is a time."""
    return (us, "") if math.isfinite(us) and us > 0 else (None, f"{whose} {us:g} µs, which is not a time")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
