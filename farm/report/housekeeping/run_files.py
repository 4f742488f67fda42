"""The directories of runs, sweeps and bisects: how large and how old each is, and whether it must stay."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from farm.errors import UnknownRunError
from farm.model.run import Verdict
from farm.store.run_store import Store

_ID = re.compile(r"(\d{8}-\d{6})-[0-9a-f]{6}")  # as `farm.timestamps.new_id` makes it
_LATER_RECORDS = ("plan.json", "bisect.json")  # of a sweep, and of a bisect: neither has a row in the store
_LOCK = ".lock"
_QUIET = timedelta(hours=1)  # what was changed within it may be under way


@dataclass(frozen=True, slots=True)
class RunFiles:
    """One directory that a run, a sweep or a bisect has made."""

    directory: Path
    begun: datetime
    size: int  # bytes
    group: str = ""  # kernel and platform of a run that passed, newest first among its like; "" of all others
    stays: str = ""  # why it must not be removed; "" where it may


@dataclass(frozen=True, slots=True)
class PruneRules:
    """What may go."""

    older_than: timedelta | None = None
    most_bytes: int | None = None  # of all directories together; the oldest go first
    most: int | None = None  # directories, likewise
    keep: int = 1  # newest passes of each kernel and platform that stay in any case


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What goes, and what stays although it is old enough, with the reason."""

    go: list[RunFiles] = field(default_factory=list)
    stay: list[RunFiles] = field(default_factory=list)


def survey(outs: Iterable[Path], store: Store, now: datetime) -> list[RunFiles]:
    """Return every such directory below `outs`, oldest first. Links are not followed."""
    found = [_described(path, store, now) for out in dict.fromkeys(outs) for path in _named_by_id(out)]
    return sorted(found, key=lambda files: (files.begun, files.directory.name))


def plan(found: Iterable[RunFiles], rules: PruneRules, now: datetime) -> PrunePlan:
    """Return what `rules` let go of `found`, which is in order of age."""
    known = _with_baselines(list(found), rules.keep)
    old = {each.directory for each in known if rules.older_than is not None and now - each.begun > rules.older_than}
    staying = [each for each in known if each.stays or each.directory not in old]
    count, size = len(staying), sum(each.size for each in staying)
    for each in staying:
        too_many = rules.most is not None and count > rules.most
        too_large = rules.most_bytes is not None and size > rules.most_bytes
        if not (too_many or too_large):
            break
        old.add(each.directory)
        if not each.stays:
            count, size = count - 1, size - each.size
    return PrunePlan(
        [each for each in known if each.directory in old and not each.stays],
        [each for each in known if each.directory in old and each.stays],
    )


def traces(found: Iterable[RunFiles], older_than: timedelta, now: datetime) -> Iterator[tuple[Path, int]]:
    """Yield the directories of timelines of runs older than that, with their bytes; `farm report` makes them again."""
    for each in found:
        place = each.directory / "traces"
        if now - each.begun > older_than and place.is_dir() and not place.is_symlink():
            yield place, _extent(place)[0]


def _with_baselines(found: list[RunFiles], keep: int) -> list[RunFiles]:
    """`found` with the reason to stay for the newest `keep` passes of each kernel and platform."""
    seen: Counter[str] = Counter()
    known = []
    for each in reversed(found):
        if each.group and seen[each.group] < keep:
            seen[each.group] += 1
            each = replace(each, stays=each.stays or f"one of the newest passes of {each.group}")
        known.append(each)
    return known[::-1]


def _named_by_id(out: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(out))
    except FileNotFoundError:
        return
    for entry in entries:
        if _ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _described(directory: Path, store: Store, now: datetime) -> RunFiles:
    match = _ID.fullmatch(directory.name)
    assert match is not None, "only directories named by an id come here"
    size, changed = _extent(directory)
    begun = datetime.strptime(match[1], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)
    files = RunFiles(directory, begun, size)
    if _locked(directory) or now - changed < _QUIET:
        return replace(files, stays="it may be under way: it changed within the last hour")
    if any((directory / name).is_file() for name in _LATER_RECORDS):
        return files
    try:
        run = store.outline(directory.name)
    except UnknownRunError:
        return replace(files, stays="it is not in the store; `farm runs import` brings it in")
    if run.verdict is None:
        return replace(files, stays="it is under way")
    return replace(files, group=f"{run.kernel} on {run.platform}") if run.verdict is Verdict.PASSED else files


def _extent(directory: Path) -> tuple[int, datetime]:
    """Bytes of all files below `directory`, and when the newest of them was changed."""
    size, changed = 0, directory.lstat().st_mtime
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                status = (Path(place) / name).lstat()
            except FileNotFoundError:  # another process has removed it
                continue
            size, changed = size + status.st_size, max(changed, status.st_mtime)
    return size, datetime.fromtimestamp(changed, timezone.utc)


def _locked(directory: Path) -> bool:
    """Whether a sweep is writing there."""
    if not (directory / _LOCK).exists():
        return False
    try:
        with FileLock(directory / _LOCK, timeout=0):
            return False
    except Timeout:
        return True
