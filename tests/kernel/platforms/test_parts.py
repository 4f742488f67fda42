"""The parts platforms are made of: capture, layout, calculator cache, error texts, fingerprints across processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from kernel.errors import PlatformUnavailableError, TensorError
from kernel.platforms import calculator, pypto_driver, pypto_errors, pypto_private
from kernel.platforms.capture import captured
from kernel.spec import Argument, Program

ROOT = Path(__file__).parents[3]


def test_capture_reaches_python_descriptors_and_children(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "deep" / "platform.log"

    print("before")
    with captured(log):
        print("python")
        os.write(1, b"native\n")
        subprocess.run(["sh", "-c", "echo child; echo complaint >&2"], check=True)
        print("to stderr", file=sys.stderr)
    print("after")

    assert sorted(log.read_text().split("\n")) == sorted(["python", "native", "child", "complaint", "to stderr", ""])
    assert capfd.readouterr().out == "before\nafter\n"


def test_capture_ends_where_the_code_inside_raises(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), captured(tmp_path / "log"):
        raise RuntimeError

    print("visible")
    assert capfd.readouterr().out == "visible\n"


def test_capture_appends(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with captured(tmp_path / "log"):
            print(word)

    assert (tmp_path / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float32])
def test_nz_puts_blocks_of_32_bytes_one_below_the_other(dtype: torch.dtype) -> None:
    block = 32 // dtype.itemsize
    matrix = torch.arange(4 * 2 * block).reshape(4, 2 * block).to(dtype)

    packed = pypto_driver.pack_nz(matrix)

    assert packed.shape == matrix.shape
    assert packed.is_contiguous()
    blocks = packed.reshape(2, 4, block)
    assert torch.equal(blocks[0], matrix[:, :block])
    assert torch.equal(blocks[1], matrix[:, block:])


@pytest.mark.parametrize("shape", [(4, 24), (2, 4, 32)])
def test_nz_refuses_what_is_no_matrix_of_whole_blocks(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError):
        pypto_driver.pack_nz(torch.zeros(shape, dtype=torch.bfloat16))


def test_arguments_share_memory_with_the_operands() -> None:
    program = Program(lambda: None, (Argument("x", (4, 6)), Argument("y", (24,), output=True)))
    inputs, outputs = {"x": torch.zeros(2, 2, 6)}, {"y": torch.zeros(4, 6)}

    x, y = pypto_driver.argument_views(program, inputs, outputs)
    y.fill_(1.0)

    assert x.shape == (4, 6)
    assert bool((outputs["y"] == 1.0).all())


@pytest.mark.parametrize(
    ("operand", "complaint"),
    [
        (torch.zeros(5), "cannot be viewed as"),
        (torch.zeros(6, 4).t(), "not contiguous"),
        (None, "not among other"),
    ],
)
def test_an_unfit_operand_is_named(operand: torch.Tensor | None, complaint: str) -> None:
    program = Program(lambda: None, (Argument("x", (4, 6)),))
    inputs = {"other": torch.zeros(1)} if operand is None else {"x": operand}

    with pytest.raises(TensorError, match=f"'x'.*{complaint}"):
        pypto_driver.argument_views(program, inputs, {})


def fake_cmake(directory: Path, body: str) -> Path:
    script = directory / "cmake"
    script.write_text(f"#!/bin/sh\necho call >> {directory}/calls\n{body}\n")
    script.chmod(0o755)
    return script


MAKES_THE_LIBRARY = f"""
case "$1" in
  -S) mkdir -p "$4" ;;
  --build) sleep 0.3; echo library > "$2/{pypto_private.CALCULATOR_LIBRARY}" ;;
esac
"""


def test_the_calculator_is_built_once_by_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cmake = fake_cmake(tmp_path, MAKES_THE_LIBRARY)
    monkeypatch.setattr(pypto_private, "find_cmake", lambda: cmake)
    monkeypatch.setenv(calculator.SHARED, "")
    cache = tmp_path / "cache"

    workers = [threading.Thread(target=calculator.ensure_built, args=(cache, "a2a3sim")) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert calculator.ensure_built(cache, "a2a3sim").read_text() == "library\n"
    assert (tmp_path / "calls").read_text().count("call") == 2  # configure, build
    left = {path.suffix for path in calculator.library_path(cache).parent.iterdir()}
    assert left - {".lock"} == {".log", ".so"}  # some versions of filelock take their file away


def test_a_second_home_of_one_user_copies_the_calculator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cmake = fake_cmake(tmp_path, MAKES_THE_LIBRARY)
    monkeypatch.setattr(pypto_private, "find_cmake", lambda: cmake)
    monkeypatch.setenv(calculator.SHARED, str(tmp_path / "shared"))
    homes = [tmp_path / name for name in ("one", "two", "three")]
    assert not calculator.is_at_hand(homes[1])

    workers = [threading.Thread(target=calculator.ensure_built, args=(home, "a2a3sim")) for home in homes[:2]]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert calculator.is_at_hand(homes[2])
    assert {calculator.ensure_built(home, "a2a3sim").read_text() for home in homes} == {"library\n"}
    assert (tmp_path / "calls").read_text().count("call") == 2  # configure, build: once for all


@pytest.mark.parametrize("bits", [0o666, 0o664])
def test_a_calculator_that_others_may_have_written_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bits: int
) -> None:
    cmake = fake_cmake(tmp_path, MAKES_THE_LIBRARY)
    monkeypatch.setattr(pypto_private, "find_cmake", lambda: cmake)
    monkeypatch.setenv(calculator.SHARED, str(tmp_path / "shared"))
    shared = calculator.shared_path(tmp_path)
    assert shared is not None
    shared.parent.mkdir(parents=True)
    shared.write_text("somebody else's\n")
    shared.chmod(bits)

    assert not calculator.is_at_hand(tmp_path)
    assert calculator.ensure_built(tmp_path, "a2a3sim").read_text() == "library\n"
    assert shared.read_text() == "library\n"


@pytest.mark.parametrize("shared", ["", "/proc/no-such-place"])
def test_without_a_place_to_share_it_the_calculator_is_built_for_each_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: str
) -> None:
    cmake = fake_cmake(tmp_path, MAKES_THE_LIBRARY)
    monkeypatch.setattr(pypto_private, "find_cmake", lambda: cmake)
    monkeypatch.setenv(calculator.SHARED, shared)

    built = [calculator.ensure_built(tmp_path / name, "a2a3sim").read_text() for name in ("one", "two")]

    assert built == ["library\n", "library\n"]
    assert (tmp_path / "calls").read_text().count("call") == 4


def test_a_calculator_that_does_not_build_names_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cmake = fake_cmake(tmp_path, "echo no compiler; exit 3")
    monkeypatch.setattr(pypto_private, "find_cmake", lambda: cmake)
    monkeypatch.setenv(calculator.SHARED, "")

    with pytest.raises(PlatformUnavailableError, match=r"failed with code 3; see .*\.log") as caught:
        calculator.ensure_built(tmp_path / "cache", "a2a3sim")

    log = Path(str(caught.value).rpartition("see ")[2])
    assert "no compiler" in log.read_text()


def test_without_cmake_the_calculator_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pypto_private, "find_cmake", lambda: None)
    monkeypatch.setenv(calculator.SHARED, "")

    with pytest.raises(PlatformUnavailableError, match=r"cmake is missing; install cmake"):
        calculator.ensure_built(tmp_path, "a2a3sim")


def test_a_cmake_script_is_not_taken_for_cmake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_cmake(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert pypto_private.find_cmake() is None


def test_a_failed_pass_is_explained_by_the_native_log() -> None:
    error = RuntimeError(
        "Errcode: FFFFFF!\nRun pass failed., func CompileFunction, file host_machine.cpp, line 179\n"
        "libtile_fwk_interface.so(npu::tile_fwk::HostMachine::Compile(x) const+0x1) [0x7f]"
    )
    log = (
        "[ERROR] PYPTO(7):2026-01-01 10:00:00.000 [schedule_base.h:347][PASS]:[OoOScheduleBase.Operation]:"
        "Alloc tensor [226] size [1048576] exceeds MEM_UB size [196608]! \n"
        "[ERROR] PYPTO(7):2026-01-01 10:00:00.000 [schedule_base.h:353][PASS]:[X.Y]:      op: EXPAND[10025] | in\n"
        "[ERROR] PYPTO(7):2026-01-01 10:00:00.000 [pass_manager.cpp:289][PASS]:[P.F]:Run pass <OoOSchedule> failed.\n"
    )

    found = pypto_errors.compile_error(error, log)

    assert str(found) == (
        "compile error FFFFFF in EXPAND: "
        "Alloc tensor [226] size [1048576] exceeds MEM_UB size [196608]! (pass OoOSchedule)"
    )
    assert pypto_errors.in_compile_thread(error)


def test_a_failed_pass_without_a_log_is_still_one_line() -> None:
    found = pypto_errors.compile_error(RuntimeError("Run pass failed."), "")

    assert str(found) == "compile error unknown: Run pass failed."


def test_a_full_disk_is_not_the_kernels_fault() -> None:
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as cause:
            raise RuntimeError("Record function failed") from cause
    except RuntimeError as error:
        assert pypto_errors.is_ours(error)
    assert not pypto_errors.is_ours(RuntimeError("Record function failed"))


IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from kernel.errors import CompileError, PlatformUnavailableError
from kernel.platforms.a2a3sim import A2A3Sim
from tests.fakes.small_kernel import SmallKernel
cache, scratch, *steps = sys.argv[1:]
kernel, platform = SmallKernel(), A2A3Sim()
platform.prepare(Path(cache))
for number, mistake in enumerate(steps):
    tuning = kernel.tuning("small", {} if mistake == "none" else {"mistake": mistake})
    try:
        print(platform.build(kernel, "small", tuning, Path(scratch, str(number))).fingerprint)
    except (CompileError, PlatformUnavailableError) as error:
        print(error)
"""


def built_elsewhere(cache: Path, scratch: Path, *steps: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(cache), str(scratch), *steps],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.sim
def test_a_fingerprint_is_the_same_in_every_process_and_place(sim_cache: Path, tmp_path: Path) -> None:
    first, second = built_elsewhere(sim_cache, tmp_path / "a", "none", "none")
    (third,) = built_elsewhere(sim_cache, tmp_path / "b", "none")

    assert first == second == third
    assert len(first) == 64


@pytest.mark.sim
def test_a_tile_that_overflows_the_vector_buffer_names_both_sizes_and_spends_the_process(
    sim_cache: Path, tmp_path: Path
) -> None:
    overflow, after = built_elsewhere(sim_cache, tmp_path, "buffer", "none")

    assert "EXPAND" in overflow
    assert "size [1048576] exceeds MEM_UB size [196608]" in overflow
    assert "go on in a fresh process" in after
