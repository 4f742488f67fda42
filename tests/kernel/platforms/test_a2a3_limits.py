"""How an NPU's time limits reach torch_npu and CANN. Both are fakes here: nothing of this has met hardware."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from jobs.faults import failures
from kernel.errors import DeviceError, PlatformUnavailableError
from kernel.platforms import pypto_errors
from kernel.platforms.a2a3 import A2A3
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.platforms.device_limits import SHORTEST_DEVICE_OP_S, DeviceLimits
from tests.fakes import torch_npu
from tests.fakes.small_kernel import SmallKernel

LIMITS = DeviceLimits(scheduler_s=10.0, device_op_s=45.0, stream_sync_s=50.0)
KERNEL = SmallKernel()


class FakeCann:
    """pyACL's one call, and the rounding CANN was measured to do."""

    def __init__(self) -> None:
        self.asked_us: list[int] = []
        self.code = 0

    def set_op_execute_timeout_v2(self, timeout_us: int) -> tuple[int, int]:
        self.asked_us.append(timeout_us)
        return max(timeout_us, int(SHORTEST_DEVICE_OP_S * 1e6)), self.code


@pytest.fixture
def cann(monkeypatch: pytest.MonkeyPatch) -> FakeCann:
    fake = FakeCann()
    module = ModuleType("acl")
    module.__dict__["rt"] = SimpleNamespace(set_op_execute_timeout_v2=fake.set_op_execute_timeout_v2)
    monkeypatch.setitem(sys.modules, "acl", module)
    return fake


@pytest.fixture
def npu(monkeypatch: pytest.MonkeyPatch, sim_cache: Path) -> Iterator[torch_npu.FakeNpu]:
    """Fake NPUs, and the environment as it was afterwards."""
    before = dict(os.environ)
    A2A3Sim().prepare(sim_cache)  # PyPTO looks for CANN's libraries where the fake's variables promise them
    yield torch_npu.install(monkeypatch, sim_cache)
    monkeypatch.undo()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def test_what_is_said_is_heard_and_nothing_is_nothing() -> None:
    assert DeviceLimits.told(LIMITS.variables()) == LIMITS
    assert DeviceLimits.told({"PATH": "/bin"}) is None


@pytest.mark.parametrize("garbled", [{"FARM_SYNC_TIMEOUT_S": "soon"}, {"FARM_SYNC_TIMEOUT_S": "50"}])
def test_half_a_ladder_is_refused(garbled: dict[str, str]) -> None:
    with pytest.raises(PlatformUnavailableError, match="set all three to seconds, or none"):
        DeviceLimits.told(garbled)


def test_each_runtime_is_told_in_its_own_unit() -> None:
    assert LIMITS.runtime_variables() == {
        "ACL_STREAM_TIMEOUT": "50000",
        "ACL_DEVICE_SYNC_TIMEOUT": "50",
        "SIMPLER_STREAM_SYNC_TIMEOUT_MS": "50000",
        "SIMPLER_OP_EXECUTE_TIMEOUT_US": "45000000",
        "SIMPLER_SCHEDULER_TIMEOUT_MS": "10000",
    }


def test_cann_is_told_in_microseconds(cann: FakeCann) -> None:
    LIMITS.limit_device_op()

    assert cann.asked_us == [45_000_000]


def test_a_limit_that_cann_raises_above_the_hosts_is_refused(cann: FakeCann) -> None:
    with pytest.raises(PlatformUnavailableError, match=r"CANN makes 4\.29497 s of a limit of 3 s.*--sync-timeout"):
        DeviceLimits(scheduler_s=2.0, device_op_s=3.0, stream_sync_s=4.0).limit_device_op()


def test_a_limit_that_cann_refuses_is_refused(cann: FakeCann) -> None:
    cann.code = 107000

    with pytest.raises(PlatformUnavailableError, match="error 107000"):
        LIMITS.limit_device_op()


def test_without_pyacl_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acl", None)

    with pytest.raises(PlatformUnavailableError, match=r"set_env\.sh"):
        LIMITS.limit_device_op()


def test_a_device_error_brings_along_what_came_before_it() -> None:
    error = pypto_errors.device_error(
        RuntimeError("rtMalloc failed: 507899"), "NPU warning, error code is 507015[Error]"
    )

    assert error.code == "507899"
    assert failures.failure(error, KERNEL).message.startswith("device error 507015 AICORE exception (then 507899)")


def run(platform: A2A3, directory: Path) -> None:
    inputs = KERNEL.inputs("small", "integers", 0)
    outputs = {name: tensor.clone() for name, tensor in KERNEL.golden("small", inputs).items()}
    platform.run(KERNEL, "small", KERNEL.tuning("small", {}), inputs, outputs, 0, directory)


@pytest.mark.sim
@pytest.mark.usefixtures("npu")
def test_a_run_sets_the_limits_and_a_bare_one_leaves_the_runtime_alone(
    sim_cache: Path, tmp_path: Path, cann: FakeCann
) -> None:
    bare = A2A3()
    bare.prepare(sim_cache)
    run(bare, tmp_path / "bare")
    assert (cann.asked_us, "ACL_STREAM_TIMEOUT" in os.environ) == ([], False)

    os.environ.update(LIMITS.variables())
    limited = A2A3()
    limited.prepare(sim_cache)
    run(limited, tmp_path / "limited")

    assert cann.asked_us == [45_000_000]
    assert os.environ["ACL_STREAM_TIMEOUT"] == "50000"


@pytest.mark.sim
def test_a_failed_synchronisation_is_reported_with_the_runtimes_own_words(
    npu: torch_npu.FakeNpu, sim_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        os.write(1, b"Warning: NPU warning, error code is 507014[Error]:\n")
        raise RuntimeError("NPU function error: aclrtSynchronizeDevice, error code is 507046")

    platform = A2A3()
    platform.prepare(sim_cache)
    monkeypatch.setattr(sys.modules["torch_npu"].npu, "synchronize", fail)

    with pytest.raises(DeviceError) as caught:
        run(platform, tmp_path)

    assert npu.used == [0]
    assert caught.value.code == "507046"
    assert failures.failure(caught.value, KERNEL).kind == "device-507014"
    assert "507014" in (tmp_path / "platform.log").read_text()


@pytest.mark.sim
def test_a_machine_error_at_launch_is_not_taken_for_a_compile_error(
    npu: torch_npu.FakeNpu, sim_cache: Path, tmp_path: Path
) -> None:
    npu.fail_with = "Errcode: F70010! launch aicore failed"
    platform = A2A3()
    platform.prepare(sim_cache)

    with pytest.raises(DeviceError, match="F70010"):
        run(platform, tmp_path)
