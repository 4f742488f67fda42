"""Records hold only what is a time, and what an old store holds beside that stays readable."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError

from farm.model.run import MedianRecord
from jobs.records import Failure, Fault, ModeTimeRecord, TaskRecord, TrialRecord, TrialStatus
from jobs.visible_text import MOST_CHARACTERS, visible
from kernel.clock import Clock
from kernel.errors import NotATimeError
from kernel.platforms.protocol import ModeTime, Task

GOOD = {"rounds": 100, "min_us": 1.0, "median_us": 2.0, "mean_us": 2.1, "max_us": 3.0}
NO_TIMES = [math.nan, math.inf, -math.inf, 0.0, -5.0]


def old(**fields: object) -> str:
    """A trial as an earlier version wrote it."""
    trial = TrialRecord(case="c", device="n/0", repeat=0, attempt=0, status=TrialStatus.OK, clock=Clock.SIMULATED)
    return json.dumps({**trial.model_dump(mode="json"), **fields})


@pytest.mark.parametrize("us", NO_TIMES)
def test_a_trial_has_a_time_or_none(us: float) -> None:
    trial = TrialRecord(
        case="c", device="n/0", repeat=0, attempt=0, status=TrialStatus.OK, clock=Clock.MEASURED, wall_us=us
    )

    assert trial.wall_us is None
    assert TrialRecord.model_validate_json(old(wall_us=us, simulator_us=us)).simulator_us is None
    assert TrialRecord.model_validate_json(old(wall_us=6.5)).wall_us == 6.5


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"rounds": -3},
        *({"mean_us": us} for us in NO_TIMES),
        {"min_us": 0.0},
        {"max_us": math.inf},
        {"median_us": 0.5},
        {"median_us": 3.5},
        {"mean_us": 0.9},
        {"mean_us": 3.1},
        {"min_us": 4.0},
    ],
)
def test_times_of_a_mode_that_are_none_are_refused_and_left_out_of_old_records(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ModeTimeRecord.model_validate({**GOOD, **change})

    read = TrialRecord.model_validate_json(old(times_us={"good": GOOD, "bad": {**GOOD, **change}}))

    assert list(read.times_us) == ["good"]


def test_a_mean_rounded_past_its_maximum_is_a_time() -> None:
    assert ModeTimeRecord(rounds=1, min_us=541.02, median_us=541.02, mean_us=541.0, max_us=541.02).rounds == 1
    assert ModeTime(1, 541.02, 541.02, 541.0, 541.02).problem == ""


@pytest.mark.parametrize(("start", "duration"), [(math.nan, 1.0), (0.0, math.nan), (math.inf, 1.0), (0.0, -1.0)])
def test_a_task_is_at_a_point_in_time(start: float, duration: float) -> None:
    with pytest.raises(NotATimeError, match="task 't'"):
        Task("t", "", "AIC_1", start, duration)


def test_tasks_of_an_old_record_that_are_none_are_left_out() -> None:
    good = {"name": "t0", "stage": "", "core": "AIC_1", "start_us": 0.0, "duration_us": 1.0}
    bad = [{**good, "start_us": None}, {**good, "duration_us": math.nan}]

    assert [task.name for task in TrialRecord.model_validate_json(old(tasks=[*bad, good])).tasks] == ["t0"]
    with pytest.raises(ValidationError):
        TaskRecord.model_validate(bad[1])


def test_a_record_of_another_form_is_still_refused() -> None:
    with pytest.raises(ValidationError, match="min_ns"):
        TrialRecord.model_validate_json(old(times_us={"good": {**GOOD, "min_ns": 1}}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain µs, 你好", "plain µs, 你好"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x00\x1b[31m\x7f\x9b\r", "␀␛[31m␡\\u009b␍"),
        ("\ud800 \udfff", "\\ud800 \\udfff"),
        ("\u202eevil\u2066\u200b\ufeff\uffff", "\\u202eevil\\u2066\\u200b\\ufeff\\uffff"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_control_characters_of_foreign_text_are_made_visible(text: str, shown: str) -> None:
    failure = Failure(fault=Fault.KERNEL, kind="kernel-raised", message=text)

    assert failure.message == visible(text) == shown
    assert Failure.model_validate_json(failure.model_dump_json()) == failure


def test_a_message_of_megabytes_is_cut() -> None:
    assert len(visible("x" * 10_000_000)) == MOST_CHARACTERS


def test_an_old_median_stays_readable_without_what_is_not_a_time() -> None:
    stored = {
        "clock": "measured",
        "per_device": {"d0": 5.0, "d1": None, "d2": 0.0},
        "overall": -1.0,
        "mad_us": 0.0,
        "samples": [5.0, None, 0.0],
        "interval_us": [None, 5.0],
    }
    found = MedianRecord.model_validate_json(json.dumps(stored))

    assert found == MedianRecord(
        clock=Clock.MEASURED, per_device={"d0": 5.0}, overall=None, mad_us=0.0, samples=[5.0], interval_us=None
    )
