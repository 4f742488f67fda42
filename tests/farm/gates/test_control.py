"""A program is held to a second draw of its inputs; and both arms of a run are measured in turn."""

from __future__ import annotations

import pytest

from farm.execution import plan
from farm.execution.plan import Sourced
from farm.gates.control import ControlGate
from farm.model.run import GateStatus, RunRequest
from jobs.records import Arm, TrialRecord
from tests.farm.evidence import evidence, trial


def control(wall_us: float) -> TrialRecord:
    return trial("d0", 0, wall_us=wall_us).model_copy(update={"arm": Arm.CONTROL, "seed": 7})


HEAD = [trial("d0", repeat, wall_us=40.0) for repeat in range(3)]


@pytest.mark.parametrize(("wall_us", "status"), [(40.0, GateStatus.PASSED), (39.9, GateStatus.ERRORED)])
def test_an_exact_time_may_not_depend_on_the_inputs(wall_us: float, status: GateStatus) -> None:
    judged = ControlGate((control(wall_us),)).judge(evidence(HEAD, controls=[control(40.0)]))

    assert judged.status is status
    assert all("one program has two times" in finding.message for finding in judged.findings)


def test_another_program_on_other_inputs_is_found() -> None:
    other = control(40.0).model_copy(update={"fingerprint": "e" * 64})

    judged = ControlGate((other,)).judge(evidence(HEAD, controls=[control(40.0)]))

    assert judged.status is GateStatus.FAILED
    assert "fingerprint differs" in judged.findings[0].message


def test_wrong_numbers_on_the_second_draw_fail() -> None:
    record = control(40.0)
    name, output = next(iter(record.outputs.items()))
    wrong = output.model_copy(update={"tolerance": output.tolerance.model_copy(update={"passed": False})})

    judged = ControlGate((record.model_copy(update={"outputs": {name: wrong}}),)).judge(
        evidence(HEAD, controls=[control(40.0)])
    )

    assert (judged.status, judged.findings[0].output) == (GateStatus.FAILED, name)


def test_what_is_wrong_and_what_is_lacking_keep_a_status_of_their_own() -> None:
    record = control(40.0)
    wrong = trial("d0", 0, passed=False).outputs
    both = record.model_copy(update={"outputs": wrong, "wall_us": None})

    judged = ControlGate((both,)).judge(evidence(HEAD, controls=[record]))
    assert [each.status for each in judged.findings] == [GateStatus.FAILED, GateStatus.ERRORED]
    assert judged.status is GateStatus.FAILED


def test_a_second_draw_nobody_measured_is_no_pass() -> None:
    assert ControlGate(()).judge(evidence(HEAD, controls=[control(40.0)])).status is GateStatus.ERRORED


def request() -> RunRequest:
    return RunRequest(kernel="k", cases=["c"], platform="p", devices=1, repeats=2, input_set="documented", seed=3)


def test_head_and_base_take_turns_at_going_first() -> None:
    made = plan.make(request(), warm_up=True, sourced=Sourced("head", "base", control_seed=9))

    order = [(each.repeat, each.arm) for each in made.trials]
    assert order == [
        (-1, Arm.BASE),
        (-1, Arm.HEAD),
        (0, Arm.HEAD),
        (0, Arm.BASE),
        (1, Arm.BASE),
        (1, Arm.HEAD),
        (0, Arm.CONTROL),
    ]
    assert {name: (each.tree, each.seed) for name, each in made.requests.items()} == {
        "c": ("head", 3),
        "c-base": ("base", 3),
        "c-control": ("head", 9),
    }


def test_the_installed_program_has_one_arm() -> None:
    made = plan.make(request(), warm_up=False)

    assert {each.arm for each in made.trials} == {Arm.HEAD}
    assert [each.tree for each in made.requests.values()] == [""]
