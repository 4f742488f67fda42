"""Programs that lie about their time: what they compiled is timed again, by a process that has none of their code.

Each runs in the sandbox as a pull request's does. A build's time is held to the same as a trial's, and its process has
no need of torch.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.records import BuildRecord, Failure, Fault, TrialRecord, TrialStatus
from jobs.sandbox import bubblewrap, simulation
from tests.fakes.graph_platform import GraphPlatform
from tests.fakes.plain_platform import WALL_US
from tests.jobs.hostile import attempt, loaded
from tests.jobs.sandbox.test_attacks import FORGE, LIE

pytestmark = pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)

# Everything in the program's own process agrees that it took half: the platform, its recording, and the answer.
_PATCHED_CLOCK = """
from tests.fakes import plain_platform
plain_platform.WALL_US /= 2
plain_platform.TASKS = (plain_platform.Task("t0", "all", "AIV_1", 0.0, plain_platform.WALL_US),)
"""
_PATCHED_COMPARER = """
import jobs.sandbox.validation, kernel.tolerance, kernel.platforms.swimlane as lanes
jobs.sandbox.validation.require_same = jobs.sandbox.validation.require_consistent = lambda *a: None
kernel.tolerance.compare = lambda *a: None
lanes.wall_us = lambda tasks: 1.0
for output in outputs.values():
    output.fill_(3)
"""


# A forged answer of a build, whose process has handed over another graph.
_LIE = (
    FORGE
    + """
def lie(graph):
    open("/run/farm/graph", "w").write(graph)
    task = {"name": "t0", "stage": "all", "core": "AIV_1", "start_us": 0.0, "duration_us": 6.5}
    forge({"wall_us": 6.5, "fingerprint": "f" * 64, "tasks": [task]})
"""
)


def tried(entry: str, place: Path) -> TrialRecord:
    return attempt(entry, place, platform=GraphPlatform())


def built(source: str, place: Path) -> BuildRecord:
    return loaded(source, place, platform=GraphPlatform())


def unproven(record: TrialRecord | BuildRecord) -> str:
    failure = record.failure
    assert isinstance(failure, Failure)
    assert (failure.fault, failure.kind) == (Fault.FARM, "unproven-time"), failure
    if isinstance(record, TrialRecord):
        assert (record.status, record.wall_us, record.outputs) == (TrialStatus.ERRORED, None, {})
    else:
        assert (record.predicted_us, record.fingerprint) == (None, "")
    return failure.message


def test_an_honest_program_has_the_time_that_was_computed_and_it_is_computed_once(tmp_path: Path) -> None:
    record = built("", tmp_path)

    assert (record.failure, record.predicted_us, record.fingerprint) == (None, WALL_US, "f" * 64)
    (kept,) = (tmp_path / "cache" / simulation.DIRECTORY).iterdir()
    kept.write_text(kept.read_text().replace("ffff", "eeee"))  # were it simulated again, this would not show
    assert "eeee" in unproven(built("# another program with the same graph", tmp_path))


def test_a_patched_clock_changes_no_time(tmp_path: Path) -> None:
    assert "says 3.25 µs" in unproven(built(_PATCHED_CLOCK, tmp_path))


def test_halved_cycles_in_every_file_are_found(tmp_path: Path) -> None:
    half = "lie(3.25, 3.25, 3.25)"
    handed_over = "open('/run/farm/graph', 'w').write(json.dumps([['t0', 'all', 'AIV_1', 0.0, 3.25]]))"

    message = unproven(tried(f"{LIE}\n{handed_over}\n{half}", tmp_path))

    assert message == (
        "the program's process says 3.25 µs (ffffffffffff) for its program, "
        "and the cost model gives 6.50 µs (ffffffffffff) for what it compiled"
    )


@pytest.mark.parametrize(
    ("graph", "words"), [("''", "handed over no compiled program"), ("'[[\"t1\"]]'", "cannot be computed")]
)
def test_without_a_graph_that_can_be_timed_there_is_no_time(tmp_path: Path, graph: str, words: str) -> None:
    assert words in unproven(built(f"{_LIE}\nlie({graph})", tmp_path))


def test_a_patched_comparer_compares_nothing(tmp_path: Path) -> None:
    record = tried(_PATCHED_COMPARER, tmp_path)

    assert (record.status, record.wall_us, record.fingerprint) == (TrialStatus.OK, WALL_US, "f" * 64)
    assert record.outputs
    assert not any(output.tolerance.passed for output in record.outputs.values())
