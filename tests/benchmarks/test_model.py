from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.costs import fitted
from benchmarks.model import changes, fed_devices, mended_rate, simulated, sweeps
from benchmarks.model_costs import Costs, CostsError, Scenario
from benchmarks.runs_model import Runs
from benchmarks.sweep_model import Sweep
from farm.execution.slot_recovery import AT_ONCE

COSTS = Costs(
    start_s=3e-4,
    trial_s=6e-4,
    tasks_s=1e-4,
    round_s=1e-4,
    round_device_s=5e-7,
    bulk_trial_s=4e-4,
    store_batch_s=5e-3,
    store_trial_s=1e-3,
    head_device_s=5e-3,
    worker_start_s=5.0,
    canary_s=2.0,
    sim_trial_s=19.5,
    sim_build_s=10.0,
)
FREE = Costs(**{each.name: 0.0 for each in fields(Costs)})  # nothing costs anything: the ideal
SMALL = Scenario(24, cases=2, repeats=3)

SCENARIOS = st.builds(
    Scenario,
    devices=st.integers(1, 40),
    cases=st.integers(1, 3),
    repeats=st.integers(1, 4),
    host_s=st.floats(0, 5),
    device_s=st.floats(0, 5),
    jitter=st.floats(0, 1),
    build_s=st.floats(0, 5),
    node_cores=st.integers(1, 8),
    fault_rate=st.floats(0, 0.5),
    drivers=st.integers(1, 4),
    store_apart=st.booleans(),
    bulk=st.sampled_from([1, 8]),
    seed=st.integers(0, 9),
)


@settings(deadline=None, max_examples=60)
@given(SCENARIOS)
def test_every_trial_ends_once_and_no_sweep_beats_the_ideal(scenario: Scenario) -> None:
    outcome = Sweep(scenario, COSTS).run()

    assert outcome.ended == outcome.planned
    assert outcome.lost <= outcome.ended
    assert outcome.makespan_s >= outcome.ideal_s * (1 - 1e-9)
    assert all(0 <= share <= 1 + 1e-9 for share in outcome.use.values())


def test_without_costs_a_sweep_takes_exactly_its_ideal() -> None:
    free = replace(SMALL, jitter=0.0, build_s=0.0, open_s=0.0, fault_rate=0.0)

    outcome = Sweep(free, FREE).run()

    assert outcome.makespan_s == pytest.approx(outcome.ideal_s)
    assert outcome.use["driver"] == outcome.use["store"] == outcome.use["head"] == 0
    assert outcome.use["devices"] == pytest.approx(1)


@pytest.mark.parametrize("name", [each.name for each in fields(Costs) if each.name not in ("bulk_trial_s", "tasks_s")])
def test_a_dearer_step_never_makes_a_sweep_shorter(name: str) -> None:
    dearer = replace(COSTS, **{name: getattr(COSTS, name) * 3})
    steady = replace(SMALL, jitter=0.0, fault_rate=0.0)

    assert Sweep(steady, dearer).run().makespan_s >= Sweep(steady, COSTS).run().makespan_s - 1e-9


def test_equal_seeds_give_equal_outcomes() -> None:
    faulty = replace(SMALL, fault_rate=0.2, seed=5)

    assert Sweep(faulty, COSTS).run() == Sweep(faulty, COSTS).run()
    assert Sweep(faulty, COSTS).run() != Sweep(replace(faulty, seed=6), COSTS).run()


def test_a_trial_that_always_faults_is_given_up_after_its_last_attempt() -> None:
    outcome = Sweep(replace(SMALL, fault_rate=1.0), COSTS).run()

    assert outcome.lost == outcome.ended == SMALL.trials
    assert outcome.faults == 3 * SMALL.trials


def test_a_driver_that_cannot_keep_up_is_what_is_busiest_and_more_drivers_help() -> None:
    slow = replace(COSTS, trial_s=0.5)
    asked = replace(SMALL, devices=64, host_s=1.0)

    one = Sweep(asked, slow).run()
    four = Sweep(replace(asked, drivers=4), slow).run()

    assert one.busiest == "driver"
    assert four.makespan_s < one.makespan_s


def test_runs_that_have_come_are_all_served_and_the_devices_never_overbooked() -> None:
    served = Runs(replace(SMALL, host_s=5.0), COSTS, rate=0.5, open_s=120.0).run()

    assert served.arrived == len(served.run_s) == len(served.wait_s) > 0
    assert all(0 <= share <= 1 for share in served.use.values())
    assert min(served.wait_s) >= 0


def test_more_runs_wait_longer() -> None:
    few = Runs(SMALL, COSTS, rate=0.05, open_s=600.0).run()
    many = Runs(SMALL, COSTS, rate=2.0, open_s=600.0).run()

    assert sum(many.wait_s) / many.arrived > sum(few.wait_s) / few.arrived


def test_the_measured_costs_are_complete_and_say_how_they_were_obtained() -> None:
    told = json.loads(Path("benchmarks/costs.json").read_text())

    assert Costs.load().trial_s > 0
    assert set(told["costs"]) == {each.name for each in fields(Costs)}
    assert all(each["how"] for each in told["costs"].values())
    assert told["machine"]["cores"] > 0


def test_a_file_that_lacks_a_cost_is_refused_by_name(tmp_path: Path) -> None:
    costs = {name: {"seconds": seconds, "how": "typed"} for name, seconds in asdict(COSTS).items()}
    del costs["head_device_s"]
    (tmp_path / "costs.json").write_text(json.dumps({"costs": costs}))

    with pytest.raises(CostsError, match="head_device_s"):
        Costs.load(tmp_path / "costs.json")


def test_every_scenario_of_the_tables_has_a_name_of_its_own() -> None:
    named = [name for name, _ in (*sweeps(SMALL, COSTS), *changes(SMALL))]

    assert len(set(named)) == len(named)
    assert simulated(SMALL, COSTS).host_s == COSTS.sim_trial_s


def test_a_driver_feeds_as_many_devices_as_its_seconds_for_a_trial_go_into_one() -> None:
    costs = replace(COSTS, trial_s=1.5e-3, tasks_s=0.5e-3, store_trial_s=1e-3)

    assert fed_devices(costs, length_s=4.0) == pytest.approx(2000)
    assert mended_rate(FREE, replace(SMALL, open_s=2.0)) == pytest.approx(AT_ONCE / 2.0)


def test_a_fit_finds_the_costs_behind_sums_and_none_below_zero() -> None:
    rows = [[1.0, 1.0], [1.0, 0.1], [1.0, 0.01]]

    exact, error = fitted(rows, [3.0, 2.1, 2.01])
    falling, _ = fitted(rows, [1.0, 2.0, 3.0])

    assert exact == pytest.approx([2.0, 1.0])
    assert error == pytest.approx(0.0, abs=1e-9)
    assert falling[1] == 0.0 < falling[0]
