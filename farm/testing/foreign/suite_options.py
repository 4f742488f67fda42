"""Which optional arguments of a profile's `[[flags]]` a foreign suite takes: pytest itself is asked."""

from __future__ import annotations

import shutil
from pathlib import Path

from farm.testing.foreign import worker_process
from farm.testing.foreign.attempt import Place
from farm.testing.foreign.worker_process import ForeignSuite
from kernel.harness import file_arguments, process_tree
from kernel.harness.process_tree import Bounds

_ASK_S = 120.0
_ASKED_BYTES = 1 << 20  # kept of what it answers


def offered(suite: ForeignSuite, place: Place, directory: Path) -> tuple[str, ...]:
    """Return the words that the suite's own options add to its command; none where it does not answer.

    A `conftest.py` declares them, so pytest is given the paths of the tests. It runs below the new `directory`.
    """
    profile = suite.profile
    if not profile.flags:
        return ()
    work = directory / "asked"
    for each in (work, *(work / below for below in profile.environment.directories)):
        each.mkdir(parents=True, exist_ok=True)
    around = worker_process.surroundings(suite, place, work)
    words = around.change.around(suite.call.help_words(around.known, suite.arguments))
    limits, printed = profile.limits, bytearray()
    ended = process_tree.run(
        words,
        around.directory,
        around.environment,
        Bounds(min(_ASK_S, suite.limit_s), limits.stop_seconds, limits.disk_mb << 20),
        lambda data: printed.extend(data[: max(0, _ASKED_BYTES - len(printed))]),
        work,
    )
    shutil.rmtree(work, ignore_errors=True)
    text = printed.decode(errors="replace") if ended.exit_code == 0 else ""
    return tuple(file_arguments.arguments(text, profile.flags))
