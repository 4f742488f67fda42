"""What a farm of 1,000 or 10,000 devices would do, from the costs measured on one host: python -m benchmarks.model

Prints how many devices each shared part can serve; how long one sweep over all devices takes against its ideal (the
trials' own seconds / devices), and how busy each part is then; what more drivers, a writer apart and collectors on the
nodes change; and how runs of three devices fare. Costs are measured (`benchmarks.costs`), the rest are the assumptions
of `benchmarks.model_costs.Scenario`. The same seed gives the same numbers. Both sizes take about five minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.arms import quantile
from benchmarks.model_costs import MEASURED, Costs, Scenario
from benchmarks.runs_model import DEVICES_A_RUN, Runs
from benchmarks.sweep_model import Outcome, Sweep
from farm.execution.slot_recovery import AT_ONCE

LENGTHS_S = (1.0, 3.0, 10.0, 30.0)  # of a trial
FAULT_RATES = (0.0, 1e-4, 1e-3, 1e-2)
LOADS = (0.2, 0.4, 0.6)  # shares of the devices that trials alone would keep busy
OPEN_S = 1800.0
USES = ("driver", "store", "head", "mender", "cores", "devices")


def main() -> int:
    """Read the options, simulate, print tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--devices", default="1000,10000")
    parser.add_argument("--repeats", type=int, default=9, help="trials a device in a sweep: 3 seeds × 3 repeats")
    parser.add_argument("--costs", type=Path, default=MEASURED)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    costs = Costs.load(options.costs)
    _say_limits(costs)
    for devices in map(int, options.devices.split(",")):
        asked = Scenario(devices, repeats=options.repeats, seed=options.seed)
        _say_sweeps(f"{devices} devices, one sweep, one driver", sweeps(asked, costs), costs)
        _say_sweeps(f"{devices} devices, a2a3 at {asked.host_s:g} s a trial", changes(asked), costs)
        _say_runs(simulated(asked, costs), costs)
    return 0


def fed_devices(costs: Costs, length_s: float) -> float:
    """How many devices one driver keeps busy with trials of `length_s`: length / (its own seconds for one trial).

    In the limit of large rounds, where what a round costs by itself is shared by many trials.
    """
    return length_s / _driver_trial_s(costs)


def _driver_trial_s(costs: Costs) -> float:
    return costs.trial_s - costs.tasks_s + costs.store_trial_s


def mended_rate(costs: Costs, scenario: Scenario) -> float:
    """Faults a second that a sweep's driver can recover from: `AT_ONCE` / (a fresh worker with its canary)."""
    return AT_ONCE / (costs.head_device_s + costs.worker_start_s + costs.canary_s + scenario.open_s)


def simulated(asked: Scenario, costs: Costs) -> Scenario:
    """The same on a2a3sim: a trial and its build are work for a core, for as long as was measured."""
    return replace(asked, host_s=costs.sim_trial_s, build_s=costs.sim_build_s, device_s=0.0, open_s=0.0)


def sweeps(asked: Scenario, costs: Costs) -> Iterator[tuple[str, Scenario]]:
    """Both platforms, and what is assumed of a2a3 varied."""
    yield "a2a3sim, flash-s2", simulated(asked, costs)
    for host_s in (10.0, 3.0, 1.0):
        yield f"a2a3, {host_s:g} s a trial", replace(asked, host_s=host_s)
    for rate in FAULT_RATES:
        if rate != asked.fault_rate:
            yield f"a2a3, fault rate {rate:g}", replace(asked, fault_rate=rate)
    yield "a2a3, 10 s, 1 in 1,000 lost", replace(asked, host_s=10.0, fault_rate=1e-3)


def changes(asked: Scenario) -> Iterator[tuple[str, Scenario]]:
    """What can be changed."""
    yield "as it is", asked
    yield "a writer apart", replace(asked, store_apart=True)
    yield "8 records an answer", replace(asked, bulk=8)
    for drivers in (4, 16):
        yield f"{drivers} drivers, one store", replace(asked, drivers=drivers)
    yield "4 drivers, writers apart", replace(asked, drivers=4, store_apart=True)


def _say_limits(costs: Costs) -> None:
    print(f"a driver has {1 / _driver_trial_s(costs):.0f} trials/s, so it keeps busy")
    for length_s in LENGTHS_S:
        print(f"  {fed_devices(costs, length_s):6.0f} devices with trials of {length_s:g} s")
    print(f"the head leases {1 / costs.head_device_s:.0f} devices/s")
    for name, open_s in (("a2a3", Scenario(1).open_s), ("a2a3sim", 0.0)):
        print(f"a driver recovers from {mended_rate(costs, Scenario(1, open_s=open_s)):.3f} faults/s on {name}")


def _say_sweeps(title: str, scenarios: Iterator[tuple[str, Scenario]], costs: Costs) -> None:
    uses = " ".join(f"{name:>7}" for name in USES)
    print(f"\n{title}\n{'':26} {'leased s':>9} {'makespan s':>11} {'ideal s':>8} {uses}  busiest")
    for name, scenario in scenarios:
        print(f"{name:26} {row(Sweep(scenario, costs).run())}", flush=True)


def row(told: Outcome) -> str:
    """An outcome as a row of the table."""
    shares = " ".join(f"{told.use[each]:7.0%}" for each in USES)
    return f"{told.leased_s:9.0f} {told.makespan_s:11.0f} {told.ideal_s:8.0f} {shares}  {told.busiest}"


def _say_runs(asked: Scenario, costs: Costs) -> None:
    """Runs of three devices and three repeats on the same farm, at several loads."""
    one = replace(asked, repeats=3)
    alone_s = one.repeats * (one.host_s + one.device_s)
    print(f"\n{asked.devices} devices, runs of {DEVICES_A_RUN} by chance, a2a3sim; {alone_s:.0f} s of trials each")
    waits = f"{'runs/h':>8} {'wait p50 s':>11} {'p99':>6} {'run p50 s':>10}"
    print(f"{waits} {'head':>6} {'store':>6} {'cores':>6} {'devices':>8}")
    for load in LOADS:
        rate = load * asked.devices / DEVICES_A_RUN / alone_s
        told = Runs(one, costs, rate, OPEN_S).run()
        wait_s, run_s = list(told.wait_s), list(told.run_s)
        waits = f"{quantile(wait_s, 0.5):11.1f} {quantile(wait_s, 0.99):6.1f} {quantile(run_s, 0.5):10.0f}"
        use = f"{told.use['head']:6.0%} {told.use['store']:6.0%} {told.use['cores']:6.0%} {told.use['devices']:8.0%}"
        print(f"{3600 * rate:8.0f} {waits} {use}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
