"""One trial: run a kernel once on one device and record what came out.

A trial judges nothing but what makes a measurement void (it did not compile, an output was not written, an input was
changed, the device failed). Whether its numbers and its time pass is for the gates.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs import disk_space, poison
from jobs import reference as goldens
from jobs.faults import failures
from jobs.records import (
    ClaimRecord,
    Failure,
    Fault,
    ModeTimeRecord,
    OutputRecord,
    TaskRecord,
    ToleranceRecord,
    TrialRecord,
    TrialRequest,
    TrialStatus,
)
from jobs.sandbox.commit_kernel import held_to_specs, rules_of
from kernel.platforms.compressed import compress
from kernel.platforms.protocol import LOG_NAME, Execution, Platform, Recorded
from kernel.registry import find_kernel, find_platform
from kernel.spec import Kernel, Tensors, TensorSpec
from kernel.tolerance import compare

_SEED_BITS = 63


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a run yielded, and why it is void where it is."""

    execution: Execution
    outputs: dict[str, OutputRecord]
    failure: Failure | None


def run_trial(
    request: TrialRequest,
    device: int,
    device_id: str,
    repeat: int,
    attempt: int,
    platform: Platform | None,
    directory: Path,
    cache_dir: Path,
    on_stage: Callable[[str], None] = lambda stage: None,
    *,
    kernel: Kernel | None = None,
) -> TrialRecord:
    """Run `request` once on `device` and return the record; it raises only `UnknownNameError`.

    `device` is the index the platform takes, `device_id` its name in the run. `directory` is the trial's own: log and
    trace are left there, and the record names them relative to it. `cache_dir` is shared by all workers of a machine.
    `on_stage` receives what is being done, one word a stage.
    """
    platform = platform or find_platform(request.platform)
    kernel = kernel or find_kernel(request.kernel)
    begin = time.monotonic()
    blank = TrialRecord(
        case=request.case,
        device=device_id,
        repeat=repeat,
        attempt=attempt,
        seed=request.seed,
        arm=request.arm,
        status=TrialStatus.OK,
        clock=platform.clock,
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        disk_space.require(directory)
        measured = _measure(request, kernel, platform, device, directory, cache_dir, on_stage)
        update = _filled(measured)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a kernel is foreign code: what it raises becomes a record
        failure = failures.failure(error, kernel, LOG_NAME if (directory / LOG_NAME).exists() else "")
        update = {"failure": failure, "status": _status(failure)}
    log = LOG_NAME if (directory / LOG_NAME).exists() else ""
    return blank.model_copy(update={**update, "host_s": time.monotonic() - begin, "log": log})


def _measure(
    request: TrialRequest,
    kernel: Kernel,
    platform: Platform,
    device: int,
    directory: Path,
    cache_dir: Path,
    on_stage: Callable[[str], None],
) -> _Measured:
    case = request.case
    tuning = kernel.tuning(case, request.tuning)
    on_stage("prepare")
    platform.prepare(cache_dir)
    on_stage("golden")
    reference = goldens.reference(rules_of(kernel), case, request.input_set, request.seed, cache_dir)
    specs = kernel.output_specs(case)
    seed = secrets.randbits(_SEED_BITS)
    outputs = poison.poisoned(specs, seed)
    before = poison.digests(reference.inputs)
    on_stage("run")
    # Copies of the dictionaries: a program that takes an operand out of its own leaves ours complete.
    given, filled = dict(reference.inputs), dict(outputs)
    execution = platform.run(held_to_specs(kernel), case, tuning, given, filled, device, directory)
    if isinstance(platform, Recorded):
        compress(directory / platform.recording)
    on_stage("compare")
    void = _void(before, reference.inputs, outputs, specs, seed)
    if void is not None:
        return _Measured(execution, {}, void)
    expected = kernel.expected(case, request.input_set, reference.inputs, reference.golden, outputs)
    return _Measured(execution, _output_records(kernel, outputs, expected, reference.golden), None)


def _void(
    before: dict[str, str], inputs: Tensors, outputs: Tensors, specs: Sequence[TensorSpec], seed: int
) -> Failure | None:
    """Return why the run measured nothing. A changed input comes first: everything after it is in doubt."""
    if changed := poison.changed(before, inputs):
        names = ", ".join(f"'{name}'" for name in changed)
        return _kernel_failure("input-changed", f"the kernel wrote to its input {names}")
    if deformed := poison.deformed(outputs, specs):
        return _kernel_failure("tensor", "; ".join(deformed))
    if unwritten := poison.unwritten(outputs, specs, seed):
        return _kernel_failure("unwritten-output", "; ".join(str(each) for each in unwritten))
    return None


def _kernel_failure(kind: str, message: str) -> Failure:
    return Failure(fault=Fault.KERNEL, kind=kind, message=message, log=LOG_NAME)


def _output_records(kernel: Kernel, outputs: Tensors, expected: Tensors, golden: Tensors) -> dict[str, OutputRecord]:
    records = {}
    for name, actual in outputs.items():
        end_to_end = expected[name] is golden[name] or poison.digest(expected[name]) == poison.digest(golden[name])
        compared = compare(name, actual, expected[name], kernel.tolerances[name], "golden" if end_to_end else "staged")
        records[name] = OutputRecord(
            sha256=poison.digest(actual),
            shape=list(actual.shape),
            dtype=str(actual.dtype).removeprefix("torch."),
            tolerance=ToleranceRecord.model_validate(dataclasses.asdict(compared)),
        )
    return records


def _filled(measured: _Measured) -> dict[str, object]:
    """The fields of the record a finished run fills; a void run keeps its profile, but no time and no outputs."""
    execution, failure = measured.execution, measured.failure
    fields: dict[str, object] = {
        "fingerprint": execution.fingerprint,
        "tasks": [TaskRecord(**dataclasses.asdict(task)) for task in execution.tasks],
        "claims": {name: ClaimRecord(**dataclasses.asdict(claim)) for name, claim in execution.claims.items()},
        "untimed": execution.untimed,
        "undigested": execution.undigested,
        "times_us": {
            mode: ModeTimeRecord(**dataclasses.asdict(printed))
            for mode, printed in execution.times.items()
            if not printed.problem
        },
    }
    if failure is not None:
        return {**fields, "failure": failure, "status": _status(failure)}
    untimed = _untimed(execution)
    return {
        **fields,
        **({} if untimed is None else {"failure": untimed, "status": _status(untimed)}),
        "wall_us": execution.wall.us if execution.wall else None,
        "simulator_us": execution.host.us if execution.host else None,
        "outputs": measured.outputs,
    }


def _untimed(execution: Execution) -> Failure | None:
    """Why a run is not measured though its numbers may be right: a program that times itself printed no times."""
    for mode, printed in execution.times.items():
        if printed.problem:
            message = f"the program's times of mode '{mode}' are none: {printed.problem}"
            return Failure(fault=Fault.FARM, kind="no-time", message=message, log=LOG_NAME)
    return None


def _status(failure: Failure) -> TrialStatus:
    return TrialStatus.FAILED if failure.fault is Fault.KERNEL else TrialStatus.ERRORED
