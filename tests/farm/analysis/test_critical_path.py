"""Which chain of tasks made a trial as long as it was, and where the time went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.analysis.critical_path import critical_path
from farm.analysis.stages import core_times, profile, stage_times, waiting_us, wall_us
from jobs.records import TaskRecord
from tests.farm import planted


def task(name: str, core: str, start_us: float, duration_us: float, *after: str, stage: str = "s") -> TaskRecord:
    return TaskRecord(name=name, stage=stage, core=core, start_us=start_us, duration_us=duration_us, after=list(after))


def names(tasks: list[TaskRecord]) -> list[str]:
    return [step.task.name for step in critical_path(tasks)]


def test_it_follows_whatever_ended_last_among_those_a_task_waited_for() -> None:
    tasks = [
        task("short", "A_1", 0.0, 1.0),
        task("long", "A_2", 0.0, 9.0),
        task("join", "A_1", 9.5, 2.0, "short", "long"),
    ]

    assert names(tasks) == ["long", "join"]
    assert [step.wait_us for step in critical_path(tasks)] == [0.0, 0.5]


def test_a_task_may_also_wait_for_its_core() -> None:
    tasks = [
        task("first", "A_1", 0.0, 1.0),
        task("other", "A_2", 1.0, 4.0, "first"),
        task("same", "A_2", 5.0, 1.0, "first"),
    ]

    assert names(tasks) == ["first", "other", "same"]


def test_without_dependencies_there_is_no_path() -> None:
    assert critical_path([task("a", "A_1", 0.0, 1.0), task("b", "A_1", 1.0, 1.0)]) == []
    assert critical_path([]) == []


def test_tasks_that_wait_for_each_other_or_for_nobody_known_end_the_walk() -> None:
    ring = [task("a", "A_1", 1.0, 0.0, "b"), task("b", "A_2", 1.0, 0.0, "a", "gone")]

    assert set(names(ring)) == {"a", "b"}


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 50), st.floats(0, 9), st.integers(0, 11)), max_size=12))
def test_the_path_is_in_time_order_and_adds_up_to_the_wall(found: list[tuple[int, float, float, int]]) -> None:
    tasks = [
        task(str(number), f"A_{core}", round(start, 3), round(length, 3), str(after))
        for number, (core, start, length, after) in enumerate(found)
    ]
    path = critical_path(tasks)

    assert bool(path) == bool(tasks)
    assert len({step.task.name for step in path}) == len(path)
    ends = [step.task.start_us + step.task.duration_us for step in path]
    assert all(end <= later.task.start_us + 1e-5 for end, later in zip(ends, path[1:], strict=False))
    total = sum(step.task.duration_us + step.wait_us for step in path)
    assert total == pytest.approx(wall_us(tasks), abs=1e-3)


def test_stages_come_by_their_part_of_the_path_with_shares_and_differences() -> None:
    first, *rest = stage_times(profile(planted.tasks(80.0)), profile(planted.tasks(30.5)))

    assert (first.stage, first.tasks, first.total_us, first.critical_us) == ("q-proj", 1, 80.0, 80.0)
    assert first.critical_share == pytest.approx(80 / 96.5)
    assert (first.delta_us, first.critical_delta_us) == (49.5, 49.5)
    assert [(stage.stage, stage.critical_us, stage.delta_us) for stage in rest] == [
        ("rope", 11.0, 0.0),
        ("attn-norm", 5.0, 0.0),
        ("kv-cache", 0.0, 0.0),
    ]
    assert waiting_us(profile(planted.tasks())) == 0.5


def test_a_stage_that_is_gone_is_still_listed() -> None:
    base = [task("a", "A_1", 0.0, 2.0, stage="old"), task("b", "A_1", 2.0, 1.0, "a", stage="kept")]

    gone = stage_times(profile([task("b", "A_1", 0.0, 1.0, stage="kept")]), profile(base))[-1]

    assert (gone.stage, gone.tasks, gone.delta_us) == ("old", 0, -2.0)


def test_cores_come_in_counting_order_with_their_idle_time() -> None:
    tasks = [task("a", "AIC_10", 0.0, 4.0), task("b", "AIC_2", 0.0, 1.0), task("c", "AIV_1", 0.0, 2.0)]

    assert [(core.core, core.busy_share) for core in core_times(tasks)] == [
        ("AIC_2", 0.25),
        ("AIC_10", 1.0),
        ("AIV_1", 0.5),
    ]
