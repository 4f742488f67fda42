from __future__ import annotations

import pytest

from farm.gates.verdict import decide
from farm.model.run import Finding, GateRecord, GateStatus, Verdict
from jobs.records import BuildRecord, Failure, Fault
from kernel.clock import Clock
from tests.farm.evidence import lost, trial

TRIALS = [trial("d0", 0), trial("d1", 0)]


def gates(**statuses: GateStatus) -> list[GateRecord]:
    finding = Finding(message="because", device="d1")
    return [GateRecord(name=name, status=status, findings=[finding]) for name, status in statuses.items()]


def build(fault: Fault | None = None) -> BuildRecord:
    failure = Failure(fault=fault, kind="compile", message="F21004 in matmul") if fault else None
    return BuildRecord(
        address="a",
        fingerprint="f",
        case="tiny",
        tuning={},
        cached=False,
        build_s=1,
        clock=Clock.SIMULATED,
        failure=failure,
    )


def test_all_gates_passed_is_a_pass() -> None:
    verdict, reason = decide([build()], TRIALS, gates(tolerance=GateStatus.PASSED, budget=GateStatus.PASSED), "", [])

    assert verdict is Verdict.PASSED
    assert "2 trials on 2 devices" in reason


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (GateStatus.FAILED, Verdict.FAILED),
        (GateStatus.ERRORED, Verdict.ERRORED),
        (GateStatus.INCONCLUSIVE, Verdict.ERRORED),
        (GateStatus.NOT_APPLICABLE, Verdict.PASSED),
    ],
)
def test_the_worst_gate_decides(status: GateStatus, verdict: Verdict) -> None:
    decided, reason = decide([build()], TRIALS, gates(tolerance=GateStatus.PASSED, budget=status), "", [])

    assert decided is verdict
    assert "budget" in reason or "inconclusive" in reason


def test_a_kernel_failure_outweighs_a_sick_device() -> None:
    judged = gates(determinism=GateStatus.ERRORED, tolerance=GateStatus.FAILED)

    assert decide([build()], TRIALS, judged, "", [])[0] is Verdict.FAILED


@pytest.mark.parametrize(
    ("clock", "failed", "beside", "verdict"),
    [
        (GateStatus.ERRORED, "budget", GateStatus.PASSED, Verdict.ERRORED),
        (GateStatus.ERRORED, "regression", GateStatus.PASSED, Verdict.ERRORED),
        (GateStatus.ERRORED, "tolerance", GateStatus.PASSED, Verdict.FAILED),
        (GateStatus.PASSED, "budget", GateStatus.PASSED, Verdict.FAILED),
        (GateStatus.PASSED, "budget", GateStatus.ERRORED, Verdict.FAILED),
    ],
)
def test_two_times_of_one_program_doubt_the_gates_of_times_alone(
    clock: GateStatus, failed: str, beside: GateStatus, verdict: Verdict
) -> None:
    judged = {"tolerance": GateStatus.PASSED, "determinism": beside, "clock": clock, failed: GateStatus.FAILED}

    assert decide([build()], TRIALS, gates(**judged), "", [])[0] is verdict


def test_nothing_measured_fails_closed() -> None:
    assert decide([build()], [], [], "", [])[0] is Verdict.ERRORED
    assert decide([], [], gates(tolerance=GateStatus.NOT_APPLICABLE), "", [])[0] is Verdict.ERRORED


def test_a_missing_trial_is_never_a_pass() -> None:
    verdict, reason = decide(
        [build()], TRIALS, gates(tolerance=GateStatus.PASSED), "1 of 3 trials were not measured", []
    )

    assert verdict is Verdict.ERRORED
    assert reason == "1 of 3 trials were not measured"


def test_a_compile_error_is_the_kernels_and_a_lost_builder_is_not() -> None:
    assert decide([build(Fault.KERNEL)], [], [], "", [])[0] is Verdict.FAILED
    assert decide([build(Fault.DEVICE)], [], [], "", [])[0] is Verdict.ERRORED


def test_what_blame_has_proven_is_what_counts() -> None:
    hung = [lost("node/0", 0), lost("node/1", 0)]  # two dies of one card, which only the run can know
    judged = gates(tolerance=GateStatus.PASSED)

    verdict, reason = decide([build()], hung, judged, "2 of 3 trials were not measured", faults=[])
    assert (verdict, reason) == (Verdict.ERRORED, "2 of 3 trials were not measured")

    proven = [Failure(fault=Fault.KERNEL, kind="hang", message="hang in case tiny on 2 devices (a, b)")]
    verdict, reason = decide([build()], TRIALS, judged, "", faults=proven)
    assert (verdict, reason) == (Verdict.FAILED, "the kernel is at fault: hang in case tiny on 2 devices (a, b)")


def test_a_bug_of_the_runtime_is_errored_and_keeps_its_kind() -> None:
    bugs = [lost(f"d{number}", 0, "orchestrator-11", Fault.FARM) for number in range(3)]
    shortfall = f"1 of 3 trials were not measured; {bugs[0].failure.message if bugs[0].failure else ''}"

    verdict, reason = decide([build()], [*TRIALS, *bugs], gates(tolerance=GateStatus.PASSED), shortfall, [])

    assert verdict is Verdict.ERRORED
    assert "orchestrator-11" in reason
