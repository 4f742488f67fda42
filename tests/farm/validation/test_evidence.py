"""What a run's gates see: the plan, the programs, the cards, and first launches without their times."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from farm.execution import plan
from farm.execution.deadlines import RunDeadlines
from farm.execution.observer import Observer
from farm.execution.session import Session
from farm.gates.tolerance import ToleranceGate
from farm.model.run import GateStatus, RunRequest
from farm.model.timeouts import Timeouts
from farm.validation.state import RunState
from kernel.clock import Clock
from tests.farm import samples
from tests.farm.evidence import CASE, output, trial

DEVICES = [samples.device(index) for index in range(2)]


def running(tmp_path: Path, *, noisy: bool, repeats: int = 3) -> RunState:
    """A run of `tiny` on two devices whose plan is made and of which nothing is measured yet."""
    request = RunRequest(
        kernel="k", cases=[CASE], platform="p", devices=2, repeats=repeats, input_set="documented", seed=3
    )
    resolved = SimpleNamespace(
        request=request,
        platform=SimpleNamespace(name="p", clock=Clock.MEASURED if noisy else Clock.SIMULATED, noisy=noisy),
        kernel=SimpleNamespace(output_specs=lambda case: [SimpleNamespace(name="q")]),
        budgets={},
        programs=None,
    )
    held = SimpleNamespace(
        resolved=resolved,
        lease=SimpleNamespace(held=DEVICES, slots=[0, 1], queue_s=0.0),
        store=SimpleNamespace(save_trials=lambda run, trials: None, observe=lambda events: None),
    )
    limits = RunDeadlines(Timeouts(), cast(Any, held.lease))
    state = RunState("r", cast(Session, held), tmp_path, "2026-11-30", Observer(), limits, resumed=None)
    state.plans.append(plan.make(request, warm_up=noisy))
    state.builds.append(samples.build(case=CASE, fingerprint="f" * 64))
    return state


@pytest.mark.parametrize("noisy", [False, True])
def test_every_planned_trial_but_warm_ups_is_wanted(tmp_path: Path, noisy: bool) -> None:
    found = running(tmp_path, noisy=noisy).evidence()

    assert {(each.slot, each.repeat) for each in found.planned} == {(s, r) for s in range(2) for r in range(3)}
    assert (found.programs, found.looks) == ({CASE: "f" * 64}, 4 if noisy else 1)
    assert len({found.card(device.id) for device in DEVICES}) == 2
    assert ToleranceGate().judge(found).status is GateStatus.ERRORED


def test_a_first_launch_is_kept_without_its_time_and_judged(tmp_path: Path) -> None:
    state = running(tmp_path, noisy=True)
    state.keep(
        [
            trial(device.id, repeat, clock=Clock.MEASURED, outputs={"q": output("same", passed=repeat >= 0)})
            for device in DEVICES
            for repeat in (-1, 0, 1, 2)
        ]
    )
    found = state.evidence()

    assert [each.repeat for each in found.measured(CASE)] == [0, 1, 2, 0, 1, 2]
    assert [(each.repeat, each.wall_us) for each in found.warm_ups] == [(-1, None), (-1, None)]
    assert len(state.trials) == 6
    assert ToleranceGate().judge(found).status is GateStatus.FAILED


def test_what_was_planned_and_kept_passes(tmp_path: Path) -> None:
    state = running(tmp_path, noisy=False)
    state.keep([trial(device.id, repeat) for device in DEVICES for repeat in range(3)])

    assert ToleranceGate().judge(state.evidence()).status is GateStatus.PASSED
    assert state.shortfall() == ""
