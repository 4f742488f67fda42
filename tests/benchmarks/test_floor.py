"""The floor holds against what the cost model has measured: the swimlane of one recorded run, and every time reached.

`tests/data/flash-s2-tasks.json` has all tasks of `qkv_proj_rope` on `a2a3sim` as they ran: name, stage, core, start and
duration in simulated µs, and the tasks whose results each one needs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import floor
from benchmarks.floor import CYCLES_PER_US, EDGE, READ_LATENCY, WRITE_LATENCY, floor_us, stage_floors_us
from kernel import qkv_proj_rope
from kernel.platforms.protocol import Task
from kernel.qkv_proj_rope.shapes import shape_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECORDED = Path(__file__).parents[1] / "data" / "flash-s2-tasks.json"
FLASH = shape_of("flash-s2")
ROUNDING = 1e-5  # µs, of the recorded times


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    rows = json.loads(RECORDED.read_text())["tasks"]
    return [Task(name, stage, core, start, lasts, tuple(after)) for name, stage, core, start, lasts, after in rows]


def end_us(task: Task) -> float:
    return task.start_us + task.duration_us


def test_no_recorded_stage_is_shorter_than_its_floor(tasks: list[Task]) -> None:
    floors = stage_floors_us(FLASH)
    own = {stage: [task for task in tasks if task.stage == stage] for stage in floors}
    measured = {stage: max(map(end_us, found)) - min(task.start_us for task in found) for stage, found in own.items()}

    assert {stage: us for stage, us in measured.items() if us < floors[stage]} == {}
    assert sum(floors.values()) < sum(measured.values())


def test_the_recorded_run_is_longer_than_its_floor(tasks: list[Task]) -> None:
    assert floor_us(FLASH) < max(end_us(task) for task in tasks) - min(task.start_us for task in tasks)


def test_no_recorded_edge_is_shorter_than_the_price_of_one(tasks: list[Task]) -> None:
    named = {task.name: task for task in tasks}
    edges = [(named[before], task) for task in tasks for before in task.after if before in named]
    shortest = min(task.start_us - end_us(before) for before, task in edges)

    assert len(edges) > 100
    assert shortest >= EDGE / CYCLES_PER_US - ROUNDING


def test_no_recorded_task_is_shorter_than_one_copy_in_and_one_out(tasks: list[Task]) -> None:
    assert min(task.duration_us for task in tasks) >= (READ_LATENCY + WRITE_LATENCY) / CYCLES_PER_US - ROUNDING


def test_no_time_that_was_reached_is_below_the_floor() -> None:
    budgets = tomllib.loads((Path(qkv_proj_rope.__file__).parent / "budgets.toml").read_text())["a2a3sim"]
    reached = {case: limit["landed"][-1]["us"] for case, limit in budgets.items()}

    assert set(reached) >= {"tiny", "flash-s2", "pro-s2"}
    assert {case: us for case, us in reached.items() if us < floor_us(shape_of(case))} == {}


@pytest.mark.parametrize(("smaller", "larger"), [("tiny", "flash-s2"), ("flash-s2", "pro-s2")])
def test_the_floor_grows_with_the_case(smaller: str, larger: str) -> None:
    assert 0 < floor_us(shape_of(smaller)) < floor_us(shape_of(larger))


def test_the_floor_of_a_long_copy_is_its_bytes_and_a_latency_for_each_filling_of_a_buffer() -> None:
    cycles = stage_floors_us(FLASH)["q-proj"] * CYCLES_PER_US - WRITE_LATENCY
    each = FLASH.q_lora * FLASH.q_width / floor.CUBES

    assert cycles == pytest.approx(READ_LATENCY * each / (512 * 1024) + each * 2000 * 2e-6 * 2.613)


def test_products_bound_a_stage_whose_rows_are_many_enough() -> None:
    rows = [stage_floors_us(replace(FLASH, s=FLASH.s * factor))["q-proj"] for factor in (1, 2, 1000)]

    assert rows[0] == rows[1] < rows[2]
