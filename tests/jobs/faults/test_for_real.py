"""Machines that really run out of something, and processes that really die: a record of the node, not of the kernel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.faults import diagnosis, failures
from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.platforms.protocol import LOG_NAME
from kernel.spec import Tensors
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import SmallKernel

ROOT = Path(__file__).parents[3]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)

# Trials in processes of their own, forked from one that has loaded everything. Each goes wrong in the middle of its run
# in the way that an argument says, and leaves its record.
TRIALS = """
import faulthandler, json, os, resource, signal, sys
from pathlib import Path
import torch
from jobs.records import TrialRequest
from jobs.trial import run_trial
from kernel.platforms.capture import captured
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import SmallKernel

GIGABYTE = 1 << 30

def limit_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTE // 4,) * 2)

def go_wrong(trouble, place):
    if trouble == "python-memory":
        limit_memory()
        bytearray(GIGABYTE)
    elif trouble == "torch-memory":
        limit_memory()
        torch.zeros(GIGABYTE, dtype=torch.uint8)
    elif trouble == "file-size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        (place / "big").write_bytes(bytes(8192))
    else:
        faulthandler.enable()
        with captured(place / "trial" / "platform.log"):
            os.kill(os.getpid(), int(trouble))

def try_it(trouble, place):
    platform = QuickPlatform()
    platform.after_run = lambda inputs, outputs: go_wrong(trouble, place)
    request = TrialRequest(kernel="small", case="small", platform="quick", input_set="integers")
    record = run_trial(request, 0, "n/0", 0, 0, platform, place / "trial", place / "cache", kernel=SmallKernel())
    (place / "record.json").write_text(record.model_dump_json())

ended = {}
for trouble in sys.argv[2:]:
    place = Path(sys.argv[1]) / trouble
    place.mkdir()
    child = os.fork()
    if child == 0:
        try:
            try_it(trouble, place)
        finally:
            os._exit(0)
    ended[trouble] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""
TROUBLES = ("python-memory", "torch-memory", "file-size", *(str(int(each)) for each in SIGNALS))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def ended(place: Path) -> dict[str, int]:
    """How the process of each trial has ended; its files are below `place`."""
    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(place), *TROUBLES], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [("python-memory", "out-of-memory"), ("torch-memory", "out-of-memory"), ("file-size", "host-resources")],
)
def test_a_process_at_its_limits_still_gives_a_record_that_blames_the_node(
    trouble: str, kind: str, place: Path, ended: dict[str, int]
) -> None:
    assert ended[trouble] == 0
    record = TrialRecord.model_validate_json((place / trouble / "record.json").read_text())
    assert record.status is TrialStatus.ERRORED
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.NODE, kind)


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGKILL, "killed-9"), (signal.SIGTERM, "killed")])
def test_a_process_that_is_killed_is_known_by_its_exit_code(
    number: signal.Signals, kind: str, ended: dict[str, int]
) -> None:
    code = ended[str(int(number))]

    assert code == -number
    assert diagnosis.of_exit(code).kind == kind


def test_a_process_that_crashes_leaves_its_last_words_in_the_trials_log(place: Path, ended: dict[str, int]) -> None:
    crash = str(int(signal.SIGSEGV))
    assert diagnosis.of_exit(ended[crash]).kind == "worker-died"

    found = failures.lost("ActorDiedError", "worker died", (place / crash / "trial" / LOG_NAME).read_text())

    assert found.kind == "worker-died"
    assert "Segmentation fault" in found.message


def trial_here(request: TrialRequest, place: Path, platform: QuickPlatform) -> TrialRecord:
    return run_trial(request, 0, "n/0", 0, 0, platform, place / "trial", place / "cache", kernel=SmallKernel())


def test_a_disk_that_fills_up_is_the_nodes(request_small: TrialRequest, tmp_path: Path) -> None:
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / LOG_NAME).symlink_to("/dev/full")  # every write to it is answered with ENOSPC

    record = trial_here(request_small, tmp_path, QuickPlatform())

    assert record.status is TrialStatus.ERRORED
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.NODE, "disk-full")
    assert "No space left on device" in record.failure.message


def test_a_trials_directory_that_goes_away_is_the_nodes(request_small: TrialRequest, tmp_path: Path) -> None:
    def gone(inputs: Tensors, outputs: Tensors) -> None:
        shutil.rmtree(tmp_path / "trial")

    platform = QuickPlatform()
    platform.after_run = gone

    record = trial_here(request_small, tmp_path, platform)

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind, record.failure.log) == (Fault.NODE, "host-resources", "")


def test_a_full_disk_behind_the_kernels_own_code_is_still_the_nodes() -> None:
    class Own(SmallKernel):
        def sources(self) -> tuple[Path, ...]:
            return (Path(__file__),)

    def write() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 100_000)

    try:
        try:
            write()
        except OSError as cause:
            raise RuntimeError("Record function failed") from cause
    except RuntimeError as error:
        assert failures.failure(error, Own()).kind == "disk-full"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_is_the_nodes(request_small: TrialRequest, tmp_path: Path) -> None:
    def locked(inputs: Tensors, outputs: Tensors) -> None:
        (tmp_path / "trial").chmod(0o500)

    platform = QuickPlatform()
    platform.after_run = locked

    record = trial_here(request_small, tmp_path, platform)

    (tmp_path / "trial").chmod(0o700)
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.NODE, "host-resources")
