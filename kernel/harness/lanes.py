"""The swim lanes of one run: every chip's recording, with the names of its functions, as one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from kernel.harness import function_names, perf_records
from kernel.harness.function_names import Function, RecordsError
from kernel.harness.perf_records import Recording
from kernel.harness.profile import Swimlane

_CHIP = re.compile(r"(?P<chip>rank(?P<rank>\d+)/d\d+)/")  # below the directory of a run on several chips
_OF_RANK = re.compile(r"/next_levels/(?P<rank>[^/]+)/")


def matches(work: Path, globs: Sequence[str]) -> list[Path]:
    """Return what matches below `work`, the globs in order, and no link that leads elsewhere."""
    inside = work.resolve()
    found = [path for glob in globs for path in sorted(work.glob(glob))]
    return [path for path in dict.fromkeys(found) if path.resolve().is_relative_to(inside)]


def read(work: Path, lanes: Swimlane) -> Recording:
    """Return what a run left below `work`, as far as it can be read. It is optional evidence, so nothing is raised.

    A run on several chips takes as long as its slowest chip: each chip counts from its own zero.
    """
    by_run: dict[str, list[tuple[str, Path]]] = {}
    for path in matches(work, lanes.records):
        below = path.relative_to(work).as_posix()
        found = _CHIP.search(below)
        by_run.setdefault(_CHIP.sub("", below), []).append((found["chip"] if found else "", path))
    if not by_run:
        return Recording((), None, "the run left no recording")
    names = matches(work, lanes.names)
    first = _together([_one(path, names, chip) for chip, path in next(iter(by_run.values()))])
    if len(by_run) > 1:
        return Recording(
            first.tasks, None, f"the run left {len(by_run)} recordings, of several programs", first.partial
        )
    return first


def _together(chips: list[Recording]) -> Recording:
    tasks = tuple(sorted((task for each in chips for task in each.tasks), key=lambda task: (task.start_us, task.core)))
    lost_first = sorted(chips, key=lambda each: not each.partial)
    untimed = next((each.untimed for each in lost_first if each.wall_us is None), "")
    if untimed:
        return Recording(tasks, None, untimed, partial=any(each.partial for each in chips))
    return Recording(tasks, max(each.wall_us for each in chips if each.wall_us is not None))


def _one(path: Path, names: Sequence[Path], chip: str) -> Recording:
    try:
        return perf_records.read(path, _named(path, names, chip), chip)
    except (OSError, RecordsError) as error:
        return Recording((), None, str(error))


def _named(path: Path, names: Sequence[Path], chip: str) -> dict[int, Function]:
    """The functions by number: those of all chips, then the chip's own, then what lies beside the recording."""
    found = _CHIP.match(f"{chip}/")
    own: list[Path] = []
    common: list[Path] = []
    for each in names:
        of_rank = _OF_RANK.search(each.as_posix())
        if of_rank is None or not found:
            common.append(each)
        elif of_rank["rank"] == found["rank"]:
            own.append(each)
    named: dict[int, Function] = {}
    for each in [*common, *own, *sorted(path.parent.glob("name_map*.json"))]:
        with contextlib.suppress(OSError, RecordsError):  # numbers stand in for the names
            named.update(function_names.functions(each))
    return named
