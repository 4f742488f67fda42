"""One trial as a record: what it measures, and what makes it void."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jobs import poison
from jobs.build import build
from jobs.probe import probe
from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.clock import SimulatedUs
from kernel.errors import CompileError, DeviceError, PlatformUnavailableError, UnknownNameError
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.platforms.protocol import Execution, ModeTime
from kernel.platforms.swimlane import read_trace
from kernel.spec import Tensors
from tests.fakes.quick_platform import TASKS, QuickPlatform
from tests.fakes.small_kernel import SmallKernel


def trial(
    request: TrialRequest, platform: QuickPlatform, place: Path, kernel: SmallKernel | None = None
) -> TrialRecord:
    return run_trial(
        request,
        device=0,
        device_id="node/0",
        repeat=1,
        attempt=2,
        platform=platform,
        directory=place / "trial",
        cache_dir=place / "cache",
        kernel=kernel or SmallKernel(),
    )


def test_a_trial_records_time_tasks_digests_and_tolerances(request_small: TrialRequest, tmp_path: Path) -> None:
    record = trial(request_small, QuickPlatform(), tmp_path)

    assert (record.status, record.failure) == (TrialStatus.OK, None)
    assert (record.case, record.device, record.repeat, record.attempt) == ("small", "node/0", 1, 2)
    assert (record.wall_us, record.fingerprint, len(record.tasks)) == (6.5, "f" * 64, 2)
    assert list(record.outputs) == ["y", "rounded"]
    y = record.outputs["y"]
    assert (y.shape, y.dtype, y.tolerance.passed, y.tolerance.reference) == ([16, 128], "float32", True, "golden")
    golden = SmallKernel().golden("small", SmallKernel().inputs("small", "integers", 0))
    assert y.sha256 == poison.digest(golden["y"])
    assert record.host_s > 0
    assert (tmp_path / "trial" / record.log).read_text() == "what the compiler printed\n"
    assert read_trace(tmp_path / "trial" / "trace.json.gz") == TASKS
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record


def test_wrong_numbers_are_for_the_gates_not_a_void_trial(request_small: TrialRequest, tmp_path: Path) -> None:
    platform = QuickPlatform()
    platform.after_run = lambda inputs, outputs: outputs["y"][3, 7].add_(0.5)

    record = trial(request_small, platform, tmp_path)

    assert record.status is TrialStatus.OK
    found = record.outputs["y"].tolerance
    assert (found.passed, found.worst_index, found.offenders) == (False, [3, 7], [[3, 7]])


def test_an_output_compared_in_stages_says_so(request_small: TrialRequest, tmp_path: Path) -> None:
    platform = QuickPlatform()

    def off_in_both(inputs: Tensors, outputs: Tensors) -> None:
        outputs["y"][0, 0] += 3.0
        outputs["rounded"][0, 0] = torch.round(outputs["y"][0, 0]).to(torch.int8)

    platform.after_run = off_in_both
    staged = request_small.model_copy(update={"input_set": "shifted"})

    record = trial(staged, platform, tmp_path)

    assert record.outputs["y"].tolerance.reference == "golden"
    assert not record.outputs["y"].tolerance.passed
    assert record.outputs["rounded"].tolerance.reference == "staged"
    assert record.outputs["rounded"].tolerance.passed


def leave_rows_unwritten(name: str) -> QuickPlatform:
    """A platform whose kernel forgets the last two rows of output `name`."""
    platform = QuickPlatform()
    untouched: dict[str, torch.Tensor] = {}
    original = platform.run

    def run(kernel, case, tuning, inputs, outputs, device, directory):  # type: ignore[no-untyped-def]
        untouched[name] = outputs[name][-2:].clone()
        return original(kernel, case, tuning, inputs, outputs, device, directory)

    platform.after_run = lambda inputs, outputs: outputs[name][-2:].copy_(untouched[name])
    platform.run = run  # type: ignore[method-assign]
    return platform


@pytest.mark.parametrize("name", ["y", "rounded"])
def test_rows_left_unwritten_fail_the_trial(name: str, request_small: TrialRequest, tmp_path: Path) -> None:
    record = trial(request_small, leave_rows_unwritten(name), tmp_path)

    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.KERNEL, "unwritten-output")
    assert record.failure.message == f"output '{name}': 256 of 2048 elements never written, first [14, 0]"
    assert record.wall_us is None
    assert record.outputs == {}


def test_a_changed_input_fails_the_trial(request_small: TrialRequest, tmp_path: Path) -> None:
    platform = QuickPlatform()
    platform.after_run = lambda inputs, outputs: inputs["w"][0, 0].add_(1.0)

    record = trial(request_small, platform, tmp_path)

    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert (record.failure.kind, record.failure.message) == ("input-changed", "the kernel wrote to its input 'w'")


@pytest.mark.parametrize(
    ("error", "status", "fault", "kind"),
    [
        (CompileError("F21004", "MATMUL", "bad tile"), TrialStatus.FAILED, Fault.KERNEL, "compile"),
        (DeviceError("507014", "timeout"), TrialStatus.ERRORED, Fault.DEVICE, "device-507014"),
        (PlatformUnavailableError("quick", "gone", "mend it"), TrialStatus.ERRORED, Fault.NODE, "platform-unavailable"),
        (MemoryError(), TrialStatus.ERRORED, Fault.NODE, "out-of-memory"),
        (ZeroDivisionError("a bug of ours"), TrialStatus.ERRORED, Fault.FARM, "crash"),
    ],
)
def test_an_error_becomes_a_record_with_its_fault(
    error: Exception, status: TrialStatus, fault: Fault, kind: str, request_small: TrialRequest, tmp_path: Path
) -> None:
    platform = QuickPlatform()
    platform.error = error

    record = trial(request_small, platform, tmp_path)

    assert record.status is status
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind, record.failure.log) == (fault, kind, "platform.log")
    assert "\n" not in record.failure.message


def test_what_the_kernels_own_code_raises_is_the_kernels_fault(request_small: TrialRequest, tmp_path: Path) -> None:
    class Broken(SmallKernel):
        def sources(self) -> tuple[Path, ...]:
            return (Path(__file__),)

        def golden(self, case: str, inputs: Tensors) -> Tensors:
            raise IndexError("past the end")

    record = trial(request_small, QuickPlatform(), tmp_path, Broken())

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.KERNEL, "kernel-raised")
    assert record.failure.message == "IndexError: past the end"


def test_a_bad_tuning_is_refused_with_its_numbers(request_small: TrialRequest, tmp_path: Path) -> None:
    request = request_small.model_copy(update={"tuning": {"rows": "24"}})

    record = trial(request, QuickPlatform(), tmp_path)

    assert record.failure is not None
    assert record.failure.kind == "tuning"
    assert "24 and 16" in record.failure.message


def test_an_unknown_kernel_or_platform_is_the_callers_mistake(request_small: TrialRequest, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown platform 'quick'"):
        run_trial(request_small, 0, "n/0", 0, 0, None, tmp_path, tmp_path)
    with pytest.raises(UnknownNameError, match="unknown kernel 'small'"):
        run_trial(request_small, 0, "n/0", 0, 0, QuickPlatform(), tmp_path, tmp_path)


def test_stages_are_told_in_order(request_small: TrialRequest, tmp_path: Path) -> None:
    stages: list[str] = []

    run_trial(
        request_small, 0, "n/0", 0, 0, QuickPlatform(), tmp_path / "t", tmp_path, stages.append, kernel=SmallKernel()
    )

    assert stages == ["prepare", "golden", "run", "compare"]


def test_a_probe_is_a_record_also_where_the_device_fails(tmp_path: Path) -> None:
    platform = QuickPlatform()
    well = probe(3, platform, tmp_path / "p", tmp_path)
    assert (well.device, well.healthy, well.detail) == (3, True, "quick canary")

    platform.error = DeviceError("507033", "the card\ndoes not answer")
    ill = probe(3, platform, tmp_path / "p", tmp_path)
    assert (ill.healthy, ill.detail) == (False, "device error 507033: the card does not answer")


@pytest.mark.sim
def test_the_small_kernel_passes_on_the_simulator_twice_alike(sim_cache: Path, tmp_path: Path) -> None:
    request = TrialRequest(kernel="small", case="small", platform="a2a3sim", input_set="integers", seed=5)
    platform = A2A3Sim()

    first, second = (
        run_trial(request, 0, "n/0", n, 0, platform, tmp_path / str(n), sim_cache, kernel=SmallKernel())
        for n in range(2)
    )

    assert first.status is second.status is TrialStatus.OK
    assert all(output.tolerance.passed for output in first.outputs.values())
    assert first.outputs == second.outputs
    assert (first.wall_us, first.fingerprint, first.tasks) == (second.wall_us, second.fingerprint, second.tasks)


@pytest.mark.sim
def test_a_wrong_factor_is_seen_on_the_simulator(sim_cache: Path, tmp_path: Path) -> None:
    request = TrialRequest(
        kernel="small", case="small", platform="a2a3sim", input_set="integers", tuning={"factor": "0.25"}
    )

    record = run_trial(request, 0, "n/0", 0, 0, A2A3Sim(), tmp_path, sim_cache, kernel=SmallKernel())

    assert record.status is TrialStatus.OK
    assert not record.outputs["y"].tolerance.passed


@pytest.mark.sim
def test_a_registered_kernel_builds_and_runs_from_a_repl(sim_cache: Path, tmp_path: Path) -> None:
    request = TrialRequest(kernel="qkv_proj_rope", case="tiny", platform="a2a3sim", input_set="documented")

    built = build(request, None, sim_cache)
    record = run_trial(request, 0, "here/0", 0, 0, None, tmp_path / "trial", sim_cache)

    assert built.failure is None
    assert record.fingerprint == built.fingerprint
    assert record.wall_us == built.predicted_us
    assert all(output.tolerance.passed for output in record.outputs.values())


def refusing(change: Callable[[Tensors, Tensors], object]) -> QuickPlatform:
    platform = QuickPlatform()
    platform.after_run = change
    return platform


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda inputs, outputs: outputs["y"].resize_(4, 4), "tensor", "made output 'y' torch.float32 [4, 4], not"),
        (
            lambda inputs, outputs: outputs["y"].untyped_storage().resize_(0),
            "tensor",
            "gave back the memory of output 'y'",
        ),
        (lambda inputs, outputs: inputs["x"].resize_(1), "input-changed", "wrote to its input 'x'"),
        (lambda inputs, outputs: inputs.pop("x").zero_(), "input-changed", "wrote to its input 'x'"),
    ],
)
def test_operands_that_are_resized_freed_or_taken_are_the_kernels(
    change: Callable[[Tensors, Tensors], object], kind: str, message: str, request_small: TrialRequest, tmp_path: Path
) -> None:
    record = trial(request_small, refusing(change), tmp_path)

    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.KERNEL, kind)
    assert message in record.failure.message


def test_an_output_that_is_replaced_in_the_dictionary_was_never_written(
    request_small: TrialRequest, tmp_path: Path
) -> None:
    platform = QuickPlatform()

    def run(kernel, case, tuning, inputs, outputs, device, directory):  # type: ignore[no-untyped-def]
        outputs["y"] = kernel.golden(case, inputs)["y"]
        del outputs["rounded"]
        return Execution(SimulatedUs(6.5), TASKS)

    platform.run = run  # type: ignore[method-assign]

    record = trial(request_small, platform, tmp_path)

    assert record.failure is not None
    assert (record.status, record.failure.kind) == (TrialStatus.FAILED, "unwritten-output")
    assert "'y': 2048 of 2048" in record.failure.message
    assert "'rounded'" in record.failure.message


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class ExitingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnprintableError(), "UnprintableError: UnprintableError (its message cannot be printed)"),
        (ExitingError(), "ExitingError: ExitingError (its message cannot be printed)"),
        (ValueError("a\x00b \x1b[31mred\x1b[0m \u202e"), r"ValueError: a␀b ␛[31mred␛[0m \u202e"),
        (ValueError("half \ud83d a pair"), r"ValueError: half \ud83d a pair"),
        (ValueError("9" * 5000), "9…"),
        (SystemExit(0), "SystemExit: 0"),
        (SystemExit("enough"), "SystemExit: enough"),
    ],
)
def test_whatever_a_kernel_raises_becomes_a_record_that_can_be_written(
    error: BaseException, message: str, request_small: TrialRequest, tmp_path: Path
) -> None:
    class Broken(SmallKernel):
        def sources(self) -> tuple[Path, ...]:
            return (Path(__file__),)

        def golden(self, case: str, inputs: Tensors) -> Tensors:
            raise error

    record = trial(request_small, QuickPlatform(), tmp_path, Broken())

    assert record.failure is not None
    assert (record.status, record.failure.fault, record.failure.kind) == (
        TrialStatus.FAILED,
        Fault.KERNEL,
        "kernel-raised",
    )
    assert record.failure.message.endswith(message)
    assert len(record.failure.message) <= 4000
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record


def test_a_missing_file_of_the_kernels_own_is_the_kernels_and_the_toolchains_is_the_nodes(
    request_small: TrialRequest, tmp_path: Path
) -> None:
    class Reading(SmallKernel):
        def sources(self) -> tuple[Path, ...]:
            return (Path(__file__),)

        def golden(self, case: str, inputs: Tensors) -> Tensors:
            return {"y": torch.load(tmp_path / "weights.pt")}

    own = trial(request_small, QuickPlatform(), tmp_path, Reading())
    platform = QuickPlatform()
    platform.error = FileNotFoundError(2, "No such file or directory", "ptoas")
    tool = trial(request_small, platform, tmp_path)

    assert own.failure is not None
    assert (own.failure.fault, own.failure.kind) == (Fault.KERNEL, "kernel-raised")
    assert "weights.pt" in own.failure.message
    assert tool.failure is not None
    assert (tool.failure.fault, tool.failure.kind) == (Fault.NODE, "host-resources")


@pytest.mark.parametrize("us", [float("nan"), float("inf"), 0.0, -5.0])
def test_what_is_no_time_is_no_measurement(us: float, request_small: TrialRequest, tmp_path: Path) -> None:
    platform = QuickPlatform()
    original = platform.run

    def run(*arguments):  # type: ignore[no-untyped-def]
        return dataclasses.replace(original(*arguments), wall=SimulatedUs(us))

    platform.run = run  # type: ignore[method-assign]

    record = trial(request_small, platform, tmp_path)

    assert record.failure is not None
    assert (record.status, record.failure.fault, record.failure.kind) == (TrialStatus.ERRORED, Fault.FARM, "no-time")
    assert record.wall_us is None


def test_a_mode_whose_times_contradict_themselves_errors_the_trial_and_keeps_its_numbers(
    request_small: TrialRequest, tmp_path: Path
) -> None:
    platform = QuickPlatform()
    original = platform.run
    times = {"decode": ModeTime(100, 1.0, 2.0, 2.1, 3.0), "prefill": ModeTime(100, 5.0, 4.0, 5.5, 6.0)}

    def run(*arguments):  # type: ignore[no-untyped-def]
        return dataclasses.replace(original(*arguments), times=times)

    platform.run = run  # type: ignore[method-assign]

    record = trial(request_small, platform, tmp_path)

    assert record.failure is not None
    assert (record.status, record.failure.kind) == (TrialStatus.ERRORED, "no-time")
    assert "mode 'prefill'" in record.failure.message
    assert (list(record.times_us), list(record.outputs)) == (["decode"], ["y", "rounded"])
