"""What every platform promises, held against each of them with a kernel of a few tasks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from kernel.clock import Clock
from kernel.errors import CompileError, DeviceError, PlatformUnavailableError
from kernel.platforms import swimlane
from kernel.platforms.a2a3 import A2A3, visible_index
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.platforms.protocol import LOG_NAME, TRACE_NAME, Platform
from tests.fakes import torch_npu
from tests.fakes.small_kernel import SmallKernel

pytestmark = pytest.mark.sim

KERNEL = SmallKernel()


@pytest.fixture(params=["a2a3sim", "a2a3"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, sim_cache: Path) -> Platform:
    made: Platform
    if request.param == "a2a3sim":
        made = A2A3Sim()
    else:
        torch_npu.install(monkeypatch, sim_cache)
        made = A2A3()
    made.prepare(sim_cache)
    return made


def poisoned(case: str = "small") -> dict[str, torch.Tensor]:
    return {
        spec.name: torch.full(spec.shape, float("nan") if spec.dtype.is_floating_point else 99, dtype=spec.dtype)
        for spec in KERNEL.output_specs(case)
    }


def test_a_run_fills_every_output_and_leaves_the_inputs_alone(platform: Platform, tmp_path: Path) -> None:
    inputs, outputs = KERNEL.inputs("small", "integers", 1), poisoned()
    before = {name: tensor.clone() for name, tensor in inputs.items()}

    execution = platform.run(KERNEL, "small", KERNEL.tuning("small", {}), inputs, outputs, 0, tmp_path)

    golden = KERNEL.golden("small", before)
    assert all(torch.equal(outputs[name], golden[name]) for name in golden)
    assert all(torch.equal(inputs[name], before[name]) for name in before)
    assert execution.wall is not None
    assert execution.wall.clock is platform.clock
    assert execution.wall.us == swimlane.wall_us(execution.tasks) > 0
    assert {task.stage for task in execution.tasks} == {"matmul", "scale"}
    assert len(execution.fingerprint) == 64


def test_a_run_leaves_its_log_and_trace_and_little_else(
    platform: Platform, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    execution = platform.run(
        KERNEL, "small", KERNEL.tuning("small", {}), KERNEL.inputs("small", "integers", 1), poisoned(), 0, tmp_path
    )

    assert swimlane.read_trace(tmp_path / TRACE_NAME) == execution.tasks
    assert (tmp_path / LOG_NAME).exists()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 1_000_000
    assert capfd.readouterr() == ("", "")


def test_a_build_has_the_fingerprint_of_the_runs_that_follow(platform: Platform, tmp_path: Path) -> None:
    tuning = KERNEL.tuning("small", {})

    built = platform.build(KERNEL, "small", tuning, tmp_path / "build")
    again = platform.build(KERNEL, "small", tuning, tmp_path / "again")
    run = platform.run(KERNEL, "small", tuning, KERNEL.inputs("small", "integers", 2), poisoned(), 0, tmp_path / "run")

    assert built.fingerprint == again.fingerprint == run.fingerprint
    assert (built.wall is None) == (platform.clock is Clock.MEASURED)


@pytest.mark.parametrize("override", [{"factor": "0.25"}, {"rows": "32"}])
def test_another_program_has_another_fingerprint(platform: Platform, override: dict[str, str], tmp_path: Path) -> None:
    plain = platform.build(KERNEL, "tall", KERNEL.tuning("tall", {}), tmp_path / "plain")
    other = platform.build(KERNEL, "tall", KERNEL.tuning("tall", override), tmp_path / "other")

    assert plain.fingerprint != other.fingerprint


def test_a_refused_tile_is_one_line_and_does_not_spoil_the_process(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(CompileError) as caught:
        platform.build(KERNEL, "small", KERNEL.tuning("small", {"mistake": "tile"}), tmp_path / "bad")

    assert (caught.value.code, caught.value.operation) == ("FC4000", "Matmul")
    assert caught.value.summary.startswith("Invalid L1/L0 relation: kL0=32, kL1a=16")
    assert "\n" not in str(caught.value)
    assert "CheckL1L0Tile" in (tmp_path / "bad" / LOG_NAME).read_text()
    assert [path.name for path in (tmp_path / "bad").iterdir()] == [LOG_NAME]
    assert platform.build(KERNEL, "small", KERNEL.tuning("small", {}), tmp_path / "good").fingerprint


def test_an_exception_of_the_kernel_is_a_compile_error(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="the kernel's own complaint"):
        platform.build(KERNEL, "small", KERNEL.tuning("small", {"mistake": "python"}), tmp_path)


def test_a_healthy_device_answers_the_probe(platform: Platform, tmp_path: Path) -> None:
    assert platform.probe(0, tmp_path).healthy


def test_toolchain_and_soc_are_told(platform: Platform) -> None:
    toolchain = platform.toolchain()

    assert toolchain["pypto"] == "0.2.0"
    assert all(isinstance(version, str) for version in toolchain.values())
    assert json.dumps(toolchain)
    assert platform.soc(0).startswith("Ascend910B1")
    assert platform.missing() == []


@pytest.mark.parametrize("made", [A2A3Sim(), A2A3()])
def test_a_platform_that_was_not_prepared_says_so(made: Platform, tmp_path: Path) -> None:
    with pytest.raises(PlatformUnavailableError, match="prepare"):
        made.build(KERNEL, "small", KERNEL.tuning("small", {}), tmp_path)


def test_without_torch_npu_the_npu_platform_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)

    assert [missing.what for missing in A2A3().missing()] == ["torch_npu", "CANN"]
    with pytest.raises(PlatformUnavailableError, match="torch_npu is missing"):
        A2A3().prepare(tmp_path)


def test_another_pypto_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kernel.platforms.pypto_private.installed_version", lambda: "0.3.0")

    assert A2A3Sim().missing()[0].why == "this platform is written for PyPTO 0.2.0, found 0.3.0"
    with pytest.raises(PlatformUnavailableError, match=r"pypto 0\.2\.0 is missing"):
        A2A3Sim().prepare(tmp_path)


@pytest.mark.parametrize("code", ["507014", "507015", "507018", "507033", "107022", "207001"])
def test_a_device_fault_carries_the_runtimes_code(
    code: str, monkeypatch: pytest.MonkeyPatch, sim_cache: Path, tmp_path: Path
) -> None:
    fake = torch_npu.install(monkeypatch, sim_cache)
    fake.fail_with = f"stream synchronize failed\nruntime error, error code is {code}: something on the chip"
    platform = A2A3()
    platform.prepare(sim_cache)

    with pytest.raises(DeviceError) as caught:
        platform.run(
            KERNEL, "small", KERNEL.tuning("small", {}), KERNEL.inputs("small", "integers", 1), poisoned(), 0, tmp_path
        )

    assert caught.value.code == code
    assert caught.value.summary == f"runtime error, error code is {code}: something on the chip"
    assert not platform.probe(0, tmp_path).healthy


def test_a_run_without_a_time_is_a_device_error(
    monkeypatch: pytest.MonkeyPatch, sim_cache: Path, tmp_path: Path
) -> None:
    fake = torch_npu.install(monkeypatch, sim_cache)
    fake.no_swim_lanes = True
    platform = A2A3()
    platform.prepare(sim_cache)

    with pytest.raises(DeviceError, match="no time"):
        platform.run(
            KERNEL, "small", KERNEL.tuning("small", {}), KERNEL.inputs("small", "integers", 1), poisoned(), 0, tmp_path
        )


def test_a_physical_index_is_found_among_the_visible_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASCEND_RT_VISIBLE_DEVICES", raising=False)
    assert visible_index(5) == 5

    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", "3, 5")
    assert visible_index(5) == 1
    with pytest.raises(PlatformUnavailableError, match="hidden"):
        visible_index(0)


def test_the_process_environment_is_as_before_a_run(tmp_path: Path, sim_cache: Path) -> None:
    platform = A2A3Sim()
    platform.prepare(sim_cache)
    before = dict(os.environ)

    platform.probe(0, tmp_path)

    assert dict(os.environ) == before


def test_the_simulator_draws_no_pictures_and_does_not_see_cann(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sim_cache: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").write_text(f"#!/bin/sh\necho drawn >> {tmp_path}/drawn\n")
    (tools / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    platform = A2A3Sim()
    platform.prepare(sim_cache)
    monkeypatch.setenv("ASCEND_HOME_PATH", "/nowhere")  # PyPTO would look for its compiler there and end the process

    assert platform.probe(0, tmp_path).healthy
    assert not (tmp_path / "drawn").exists()


def test_a_directory_with_a_blank_and_quotes_is_no_obstacle(platform: Platform, tmp_path: Path) -> None:
    directory = tmp_path / 'my run\'s "first" $(try)'
    tuning = KERNEL.tuning("small", {})
    inputs, outputs = KERNEL.inputs("small", "integers", 1), poisoned()

    platform.run(KERNEL, "small", tuning, inputs, outputs, 0, directory)

    golden = KERNEL.golden("small", inputs)
    assert all(torch.equal(outputs[name], golden[name]) for name in golden)
    assert (directory / TRACE_NAME).exists()
