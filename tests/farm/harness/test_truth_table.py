"""Whose doing each end of a real run is: what pypto-lib printed on the real simulator, row by row.

The machine's faults stay the machine's, on however many cards they are seen; what nobody knows is proven by a second
card only.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.execution import attempts
from farm.execution.failure_policy import FailurePolicy
from jobs.faults import failures
from jobs.records import Failure, Fault, TrialRecord, TrialStatus
from kernel.clock import Clock
from kernel.errors import DeviceError, HarnessError
from kernel.harness.ending import require_measured
from kernel.harness.kernel import HarnessKernel
from kernel.harness.process_tree import ProcessExit
from kernel.harness.reading import Reader, Seen
from tests.fakes.harness import ROOT, shipped

RUNS = Path(__file__).parents[2] / "data" / "pypto-lib-may-2026"

PASSED = (
    "hello_world",
    "hello_world_swimlane",
    "gemm",
    "gemm_eltwise",
    "layer_norm",
    "matmul",
    "multi_proj",
    "rms_norm",
    "rope",
    "softmax",
    "qkv_proj_rope",
    "qkv_proj_rope_swimlane",
    "v4_hc_post",
    "v4_moe_combine",
    "v4_moe_expert",
)
WRONG = {
    "hello_golden": {"y"},
    "matmul_golden_one": {"c"},
    "qkv_golden_scaled": {"q"},
    "v4_decode_compressor_ratio128": {"kv", "kv_state", "score_state", "kv_cache"},
}
OWN = {
    "qkv_guard": ("tuning", "HEAD_BLOCKS must be divisible by HEAD_GROUP"),
    "qkv_parse_error": ("compile", "Error: Undefined variable 'wgg'"),
    "qkv_chunk_doubled": ("compile", "Vec buffer usage (198144 bytes)"),
    "softmax_rows_doubled": ("compile", "Vec buffer usage (262656 bytes)"),
    "v4_decode_indexer_compressor": ("compile", "Vec buffer usage (263168 bytes)"),
}
NOBODYS = {
    "softmax_no_golden": (Fault.FARM, "nothing-measured", "compared nothing"),
    "hello_noptoas": (Fault.NODE, "platform-unavailable", "ptoas binary not found"),
    "hello_nogxx": (Fault.NODE, "platform-unavailable", "g++-15"),
    "platform_absent": (Fault.NODE, "platform-unavailable", "'ASCEND_HOME_PATH' is not set"),
    "hello_bad": (Fault.NODE, "platform-unavailable", "undefined symbol: simulator_symbol_missing"),
    "qkv_kernel_does_not_load": (Fault.NODE, "platform-unavailable", "undefined symbol: __truncsfbf2"),
    "hello_ptoas_refuses": (Fault.FARM, "toolchain-refused", "custom op 'pto.tnope' is unknown"),
    "v4_hc_pre": (Fault.FARM, "toolchain-refused", "incompatible function arguments"),
    "matmul_sim_kernel_compile_fails": (Fault.FARM, "toolchain-refused", "Compilation failed"),
    "argparse_refuses": (Fault.FARM, "bad-argument", "argument -d/--device: invalid int value: 'x'"),
}
ORDERS = [("stdout.txt", "stderr.txt"), ("stderr.txt", "stdout.txt")]  # the two streams share one pipe


def seen(run: str, order: tuple[str, str]) -> Seen:
    reader = Reader(shipped())
    for name in order:
        reader.feed((RUNS / run / name).read_bytes())
    return reader.close()


def failure(run: str, order: tuple[str, str]) -> Failure | None:
    """The record's failure; None where the run is a measurement, its numbers right or wrong."""
    printed = "".join((RUNS / run / name).read_text() for name in order)
    code = int((RUNS / run / "exit").read_text())
    try:
        require_measured(shipped(), seen(run, order), ProcessExit(code), printed)
    except (HarnessError, DeviceError) as error:
        return failures.failure(error, HarnessKernel(shipped(), ROOT, ("models/passes.py",)))
    return None


def proven(failed: Failure, cards: int) -> list[Failure]:
    """What is the kernel's once `cards` cards have said the same."""
    policy = FailurePolicy()
    for card in range(cards):
        status = TrialStatus.FAILED if failed.fault is Fault.KERNEL else TrialStatus.ERRORED
        trial = TrialRecord(
            case="f.py",
            device=f"n/{card}",
            repeat=0,
            attempt=card,
            status=status,
            clock=Clock.SIMULATED,
            failure=failed,
        )
        policy.take(trial, f"card{card}")
    return policy.kernel


def test_every_recorded_run_is_a_row() -> None:
    rows = {*PASSED, *WRONG, *OWN, *NOBODYS, "qkv_raises"}

    assert rows == {path.name for path in RUNS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("run", PASSED)
def test_what_passed_passes(run: str, order: tuple[str, str]) -> None:
    found = seen(run, order)

    assert failure(run, order) is None
    assert found.claims and all(claim.passed for claim in found.claims.values())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("run", WRONG)
def test_wrong_numbers_are_the_kernels(run: str, order: tuple[str, str]) -> None:
    assert failure(run, order) is None, "a measurement, for the gate"
    assert {name for name, claim in seen(run, order).claims.items() if not claim.passed} == WRONG[run]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("run", OWN)
def test_the_kernels_own_text_is_the_kernels_at_once(run: str, order: tuple[str, str]) -> None:
    kind, told = OWN[run]
    failed = failure(run, order)

    assert failed is not None
    assert (failed.fault, failed.kind) == (Fault.KERNEL, kind)
    assert told in failed.message


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("run", NOBODYS)
def test_what_is_nobodys_kernel_is_so_on_any_number_of_cards(run: str, order: tuple[str, str]) -> None:
    fault, kind, told = NOBODYS[run]
    failed = failure(run, order)

    assert failed is not None
    assert (failed.fault, failed.kind) == (fault, kind)
    assert told in failed.message
    assert proven(failed, cards=3) == []


def test_an_exception_that_nobody_knows_is_the_programs_when_a_second_card_raises_it_too() -> None:
    failed = failure("qkv_raises", ORDERS[0])

    assert failed is not None
    assert failed.kind == "unexplained-AttributeError"
    assert "module 'torch' has no attribute 'bfloat61'" in failed.message
    assert (failed.fault is Fault.KERNEL, proven(failed, cards=1)) == (False, [])
    assert [each.fault for each in proven(failed, cards=2)] == [Fault.KERNEL]


def test_two_cards_with_different_exceptions_agree_on_nothing() -> None:
    policy = FailurePolicy()
    for card, kind in enumerate(("unexplained-KeyError", "unexplained-ValueError", "unexplained-exit-3")):
        trial = TrialRecord(
            case="f.py",
            device=f"n/{card}",
            repeat=0,
            attempt=card,
            status=TrialStatus.ERRORED,
            clock=Clock.SIMULATED,
            failure=Failure(fault=Fault.FARM, kind=kind, message=kind),
        )
        policy.take(trial, f"card{card}")

    assert policy.kernel == []
    assert attempts.may_retry(trial, 0)


@pytest.mark.parametrize("order", ORDERS)
def test_only_the_collector_that_lost_tasks_says_so(order: tuple[str, str]) -> None:
    losses = {run: seen(run, order).losses for run in PASSED}

    assert {run for run, told in losses.items() if told} == {"v4_moe_expert"}
    assert "collected=0" in losses["v4_moe_expert"]
