"""A program is held to a second draw of its inputs; and both arms of a run are measured in turn."""

from __future__ import annotations

import pytest

from farm.execution import plan
from farm.execution.plan import Sourced
from farm.gates.control import ControlGate
from farm.model.run import GateStatus, RunRequest
from jobs.records import Arm, TrialRecord
from tests.farm.evidence import CASE, evidence, trial


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
    judged = ControlGate(()).judge(evidence(HEAD, controls=[control(40.0)]))

    assert judged.status is GateStatus.ERRORED
    assert [each.message for each in judged.findings] == ["the second draw of the inputs was not measured"]


def test_a_second_draw_on_a_suspect_device_says_nothing_and_the_next_one_does() -> None:
    """Suspects are those of the case: the same device may be trusted in another one."""
    wrong = control(40.0).model_copy(update={"outputs": trial("d0", 0, passed=False).outputs})
    other = wrong.model_copy(update={"device": "d1"})
    head = [*HEAD, *(each.model_copy(update={"device": "d1"}) for each in HEAD)]

    def judged(*controls: TrialRecord, suspects: dict[str, frozenset[str]]) -> list[tuple[object, ...]]:
        held = evidence(head, controls=controls, suspects=suspects)
        return [(each.status, each.device, each.message) for each in ControlGate(controls).judge(held).findings]

    suspect = (GateStatus.ERRORED, "d0", "the second draw was measured on a suspect device")
    assert judged(wrong, suspects={CASE: frozenset({"d0"})}) == [suspect]
    both = judged(wrong, other, suspects={CASE: frozenset({"d0"})})
    assert [each[:2] for each in both] == [suspect[:2], (GateStatus.FAILED, "d1")]
    assert judged(wrong, suspects={"other": frozenset({"d0"})})[0][0] is GateStatus.FAILED


def test_a_second_draw_too_few_stays_errored_beside_a_wrong_one() -> None:
    wrong = control(40.0).model_copy(update={"outputs": trial("d0", 0, passed=False).outputs})
    planned = [control(40.0), control(40.0).model_copy(update={"repeat": 1})]

    judged = ControlGate((wrong,)).judge(evidence(HEAD, controls=planned))
    assert [each.status for each in judged.findings] == [GateStatus.ERRORED, GateStatus.FAILED]


def test_a_case_whose_outputs_nobody_named_is_judged_by_those_that_are_there() -> None:
    assert ControlGate((control(40.0),)).judge(evidence(HEAD, controls=[control(40.0)], outputs={})).findings == []


def test_another_time_is_the_programs_fault_only_where_its_program_is_another() -> None:
    """Where no trial names a program all are of one, and the clock is what cannot be believed."""
    other = control(39.0).model_copy(update={"fingerprint": "e" * 64})
    nameless = [each.model_copy(update={"fingerprint": ""}) for each in (*HEAD, control(39.0))]

    failed = ControlGate((other,)).judge(evidence(HEAD, controls=[control(40.0)]))
    assert [each.message for each in failed.findings][1:] == [
        "the time depends on the inputs: 40.00 µs, and 39.00 µs on a second draw of them"
    ]
    errored = ControlGate((nameless[-1],)).judge(evidence(nameless[:-1], controls=[control(40.0)]))
    assert [(each.status, each.message) for each in errored.findings] == [
        (
            GateStatus.ERRORED,
            "one program has two times on an exact clock: 40.00 µs, and 39.00 µs on a second draw of them",
        )
    ]


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
