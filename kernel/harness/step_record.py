"""What is kept of a set-up step in the cache: the record of one that is finished, the log of one that failed."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kernel.errors import HarnessError
from kernel.harness import repository_copy
from kernel.harness.profile_setup import Setup

STEP = "step"  # all that the step may write to
TREE = f"{STEP}/repository"  # its copy of the repository, of which the outputs stay
LOG, FAILED_LOG = "step.log", "failed.log"
_RECORD, _FAILURES = "record.json", "failures.json"
# A failing build of minutes is not made again for each of a hundred files. Two tries are what two devices need.
_TRIES = 2
_REMEMBERED_S = 600.0
_PROVES_NOTHING = frozenset({"setup", "setup-hang", "disk-quota", "over-limit"})  # others are gone with their cause


@dataclass(frozen=True, slots=True)
class SetupStep:
    """How one step ended."""

    name: str
    address: str = ""  # "" for one that was skipped, or only activates
    seconds: float = 0.0  # that it took when it was made
    cached: bool = False  # an earlier run had made it
    skipped: bool = False  # what makes it unnecessary is present
    log: Path | None = None  # what it printed, in the cache
    captured: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""  # why it failed, one line


class SetupError(HarnessError):
    """A set-up step failed. `steps` are those until then, and this one."""

    def __init__(self, kind: str, summary: str, steps: tuple[SetupStep, ...]) -> None:
        self.steps = steps
        super().__init__(kind, summary)

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[SetupStep, ...]]]:  # type: ignore[override]
        return (type(self), (self.kind, self.summary, self.steps))


def read(place: Path, step: Setup) -> SetupStep | None:
    """Return what a finished step has left at `place`; None where it is not finished or a part of it is gone."""
    try:
        known = json.loads((place / _RECORD).read_text())
        found = SetupStep(
            step.name, place.name, float(known["seconds"]), True, log=_log(place), captured=dict(known["captured"])
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if not all((place / TREE / output).exists() for output in step.outputs):
        return None
    os.utime(place)  # somebody has read it
    return found


def write(place: Path, made: SetupStep) -> None:
    """Note that a step is finished: after this, and only then, it is found."""
    for name in (_FAILURES, FAILED_LOG):
        (place / name).unlink(missing_ok=True)
    _replace(place / _RECORD, {"seconds": made.seconds, "captured": dict(made.captured)})


def forget(place: Path) -> None:
    """Delete what an unfinished step has left at `place`, but not what is known of failures."""
    (place / _RECORD).unlink(missing_ok=True)
    repository_copy.remove(place / STEP)


def note_failure(place: Path, error: HarnessError) -> None:
    """Keep the log of a failed step, and that it failed."""
    with contextlib.suppress(FileNotFoundError):  # it failed before it printed anything
        (place / LOG).replace(place / FAILED_LOG)
    if error.kind in _PROVES_NOTHING:
        now = time.time()
        failure = {"kind": error.kind, "message": str(error), "at": now}
        _replace(place / _FAILURES, [*_failures(place, now), failure])


def refuse_what_failed_twice(place: Path) -> None:
    """Raise the last failure again where the step has failed twice in the last minutes."""
    failures = _failures(place, time.time())
    if len(failures) < _TRIES:
        return
    last = failures[-1]
    again = f"not tried again within {_REMEMBERED_S / 60:g} minutes; `farm suite check --set-up` does"
    raise HarnessError(str(last["kind"]), f"{last['message']} (failed {len(failures)} times, {again})")


def forget_failures(cache: Path) -> None:
    """Have every step that failed be tried again."""
    for path in cache.glob(f"set-ups/*/*/{_FAILURES}"):
        path.unlink(missing_ok=True)


def failed(name: str, error: HarnessError, place: Path | None) -> SetupStep:
    """Return what is shown of a failed step; `place` is None where it was not started."""
    if place is None:
        return SetupStep(name, problem=str(error))
    log = place / FAILED_LOG
    return SetupStep(name, place.name, log=log if log.exists() else None, problem=str(error))


def _failures(place: Path, now: float) -> list[dict[str, object]]:
    try:
        known = json.loads((place / _FAILURES).read_text())
        return [each for each in known if 0 <= now - float(each["at"]) < _REMEMBERED_S and each["message"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def _log(place: Path) -> Path | None:
    log = place / LOG
    return log if log.exists() else None


def _replace(path: Path, value: object) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fresh.write_text(json.dumps(value, indent=1))
    fresh.replace(path)
