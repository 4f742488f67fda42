from __future__ import annotations

import pytest

from farm.cli.exit_codes import ExitCode, of_error, of_verdict
from farm.errors import CapacityError, InfrastructureError, UsageError
from farm.model.run import Verdict
from kernel.errors import CompileError, DeviceError, GuardError, TensorError, UnknownNameError, UnwrittenOutputError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CompileError("F21004", "matmul", "tile too large"), ExitCode.FAILED),
        (UnwrittenOutputError("output 'q': 3 of 8 elements never written"), ExitCode.FAILED),
        (UsageError("--devices 0"), ExitCode.USAGE),
        (CapacityError(9, 8, "the cluster has", "ask for less"), ExitCode.USAGE),
        (UnknownNameError("case", "huge", ["tiny"]), ExitCode.USAGE),
        (GuardError("D / split_k", 4096, 3, "choose a divisor"), ExitCode.USAGE),
        (TensorError("wkv has shape [1]"), ExitCode.USAGE),
        (DeviceError("507014", "timeout"), ExitCode.ERRORED),
        (InfrastructureError("no Ray"), ExitCode.ERRORED),
        (RuntimeError("anything else"), ExitCode.ERRORED),
    ],
)
def test_an_error_ends_with_the_code_of_whose_fault_it_is(error: Exception, code: ExitCode) -> None:
    assert of_error(error) is code


def test_only_a_pass_is_zero() -> None:
    assert of_verdict(Verdict.PASSED) == 0
    assert [of_verdict(verdict) for verdict in (Verdict.FAILED, Verdict.ERRORED, None)] == [1, 3, 3]
