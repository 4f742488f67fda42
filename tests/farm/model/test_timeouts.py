"""The ladder of time limits: refused where it is the wrong way round, in words a person can act on."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import UsageError
from farm.model.timeouts import ARMING_S, LADDER, Timeouts
from kernel.platforms.device_limits import SHORTEST_DEVICE_OP_S, DeviceLimits

DOCUMENT = Path(__file__).parents[3] / "docs" / "operator" / "faults.md"
FIELDS = [rung.field for rung in LADDER]
OPTIONS = [rung.option for rung in LADDER]

seconds = st.one_of(st.floats(), st.integers(-5, 100_000).map(float), st.sampled_from([10.0, 45.0, 50.0, 51.5, 900.0]))
rising = st.lists(
    st.floats(0.01, 1e6).map(lambda value: float(math.ceil(value))), min_size=6, max_size=6, unique=True
).map(sorted)


def documented() -> str:
    head = "| limit | default | set by | after which |\n|---|---|---|---|\n"
    lines = [
        f"| {rung.name} | {getattr(Timeouts(), rung.field):g} s | `{rung.option}` | {rung.then} |\n" for rung in LADDER
    ]
    return head + "".join(lines)


def test_the_operators_ladder_is_the_codes() -> None:
    assert documented() in DOCUMENT.read_text(), f"docs/operator/faults.md, section Time limits:\n\n{documented()}"


def test_the_defaults_hold() -> None:
    assert Timeouts().checked() == Timeouts()
    assert Timeouts().checked(simulated=True) == Timeouts()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (
            {"trial_s": 40.0},
            "--trial-timeout 40 is not above the stream sync of 50 s; raise it or lower --sync-timeout",
        ),
        (
            {"run_s": 14400.0},
            "--run-timeout 14400 is not above the lease of 14400 s; raise it or lower --lease-timeout",
        ),
        (
            {"scheduler_s": 46.0},
            "--device-op-timeout 45 is not above the scheduler of 46 s; raise it or lower --scheduler-timeout",
        ),
        (
            {"scheduler_s": 44.0, "stream_sync_s": 45.0, "device_op_s": 44.5},
            "--sync-timeout 45 is not above the scheduler of 44 s and 1.5 s more; raise it or lower",
        ),
        (
            {"scheduler_s": 2.0, "device_op_s": 3.0, "stream_sync_s": 4.0},
            "--device-op-timeout 3 is shorter than the runtime can wait; give at least 4.3 seconds",
        ),
        ({"stream_sync_s": 50.5}, "--sync-timeout 50.5 is not a whole number of seconds up to 2147483"),
        ({"trial_s": 0.0}, "--trial-timeout 0 is not a time; give it in seconds, more than 0"),
    ],
)
def test_what_is_wrong_is_named_with_both_values_and_the_remedy(wrong: dict[str, float], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(Timeouts(), **wrong).checked()

    assert str(caught.value).startswith(complaint)


def test_a_simulated_platform_has_no_device_to_limit() -> None:
    quick = replace(Timeouts(), trial_s=3.0, device_op_s=1.0, stream_sync_s=0.5)

    assert quick.checked(simulated=True) is quick
    with pytest.raises(UsageError, match="--lease-timeout 5 is not above the trial of 5 s"):
        replace(quick, trial_s=5.0, lease_s=5.0).checked(simulated=True)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_what_is_no_time_is_refused(field: str, value: float) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        replace(Timeouts(), **{field: value}).checked()


@given(st.lists(seconds, min_size=6, max_size=6), st.booleans())
def test_a_ladder_either_holds_or_is_refused_by_name(values: list[float], simulated: bool) -> None:
    timeouts = Timeouts(*values)
    ladder = values[3:] if simulated else values
    try:
        timeouts.checked(simulated=simulated)
    except UsageError as error:
        assert any(option in str(error) for option in OPTIONS)
        assert "\n" not in str(error)
        return
    assert all(0 < value < math.inf for value in ladder)
    assert all(inner < outer for inner, outer in itertools.pairwise(ladder))
    if not simulated:
        assert timeouts.stream_sync_s > timeouts.scheduler_s + ARMING_S
        assert timeouts.device_op_s >= SHORTEST_DEVICE_OP_S


@given(rising)
def test_no_ladder_that_rises_is_refused_without_a_runtimes_reason(values: list[float]) -> None:
    timeouts = Timeouts(*values)
    reasonable = (
        timeouts.device_op_s > SHORTEST_DEVICE_OP_S and timeouts.stream_sync_s > timeouts.scheduler_s + ARMING_S
    )
    if reasonable:
        assert timeouts.checked() is timeouts


@given(st.permutations(range(6)))
def test_every_other_order_of_the_defaults_is_refused(order: list[int]) -> None:
    values = [getattr(Timeouts(), field) for field in FIELDS]
    shuffled = Timeouts(*(values[index] for index in order))
    if order == sorted(order):
        assert shuffled.checked() == Timeouts()
    else:
        with pytest.raises(UsageError, match="is not above"):
            shuffled.checked()


def test_the_process_that_holds_a_device_is_told_the_limits() -> None:
    told = DeviceLimits.told(Timeouts(scheduler_s=3, device_op_s=20.5, stream_sync_s=30).environment())

    assert told == DeviceLimits(scheduler_s=3, device_op_s=20.5, stream_sync_s=30)
