"""A record holds no time that is not one; what was kept before that was checked can still be read."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from farm.model.run import MedianRecord
from jobs.records import ModeTimeRecord, TrialRecord
from kernel.clock import Clock
from tests.farm.evidence import trial

NOT_TIMES = [math.nan, math.inf, 0.0, -5.0]
FIELDS = ["wall_us", "simulator_us"]
GOOD_MODE = {"rounds": 3, "min_us": 1.0, "median_us": 2.0, "mean_us": 2.0, "max_us": 3.0}
BAD_MODES: list[dict[str, Any]] = [
    {**GOOD_MODE, "rounds": 0},
    {**GOOD_MODE, "median_us": 9.0},
    {**GOOD_MODE, "min_us": 0.0},
    {**GOOD_MODE, "max_us": None},
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("us", NOT_TIMES)
def test_a_trial_cannot_be_made_with_what_is_not_a_time(field: str, us: float) -> None:
    with pytest.raises(ValidationError, match="is not a time"):
        TrialRecord(**{**trial("d0", 0).model_dump(), field: us})


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("us", [*NOT_TIMES[2:], None])
def test_an_old_trial_stays_readable_and_has_no_time(field: str, us: float | None) -> None:
    stored = {**json.loads(trial("d0", 0).model_dump_json()), field: us}

    assert getattr(TrialRecord.model_validate_json(json.dumps(stored)), field) is None


@pytest.mark.parametrize("bad", BAD_MODES[:3])
def test_times_of_a_mode_must_belong_together(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="are no measurement"):
        ModeTimeRecord(**bad)


@pytest.mark.parametrize("bad", BAD_MODES)
def test_old_times_of_a_mode_are_left_out(bad: dict[str, Any]) -> None:
    stored = {**json.loads(trial("d0", 0).model_dump_json()), "times_us": {"good": GOOD_MODE, "bad": bad}}

    assert list(TrialRecord.model_validate_json(json.dumps(stored)).times_us) == ["good"]


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
