"""Packed tasks are the tasks: the same values, the same JSON, the same bytes in every report."""

from __future__ import annotations

import pickle

import pytest

from farm.report.formats import FORMATS
from farm.report.json_report import JsonReport
from farm.report.traces.chrome import traces
from jobs.packed_tasks import PackedTasks, packed
from jobs.records import TaskRecord, TrialRecord
from tests.farm import samples

TASKS = [
    TaskRecord(
        name=f"t{number}", stage="rope", core="AIV_0", start_us=number / 3, duration_us=0.1 + number, after=after
    )
    for number, after in enumerate([[], ["t0"], ["t0", "t1"]])
]


def test_they_are_a_sequence_of_the_same_tasks() -> None:
    held = PackedTasks(TASKS)

    assert (len(held), list(held), held[1], held[1:]) == (3, TASKS, TASKS[1], TASKS[1:])
    assert held == TASKS
    assert held == PackedTasks(TASKS)
    assert held != TASKS[:2]
    assert pickle.loads(pickle.dumps(held)) == held


def test_a_record_is_the_same_with_its_tasks_packed() -> None:
    plain = samples.trial("n0/0", tasks=TASKS)
    held = packed(plain)

    assert isinstance(held.tasks, PackedTasks)
    assert packed(held) is held
    assert held == plain
    assert held.model_dump() == plain.model_dump()
    assert held.model_dump_json() == plain.model_dump_json()
    assert TrialRecord.model_validate_json(held.model_dump_json()) == plain


def test_a_record_without_tasks_stays_as_it_is() -> None:
    bare = samples.trial("n0/0", tasks=[])

    assert packed(bare) is bare


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_report_of_a_run_is_equal_to_the_byte(name: str) -> None:
    plain = samples.run()
    held = plain.model_copy(update={"trials": [packed(trial) for trial in plain.trials]})

    assert FORMATS[name].write(held) == FORMATS[name].write(plain)
    assert list(traces(held)) == list(traces(plain))


def test_the_pieces_of_report_json_are_a_trial_at_most() -> None:
    record = samples.run()

    pieces = list(JsonReport().pieces(record))

    assert "".join(pieces) == JsonReport().write(record)
    assert sum('"tasks"' in piece for piece in pieces) == len(record.trials)
