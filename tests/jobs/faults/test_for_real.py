"""Machines that really run out of something, and processes that really die: a record of the node, not of the kernel."""

from __future__ import annotations

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

# A trial in a process of its own, which goes wrong in the way its second argument says, in the middle of the run.
TRIAL = """
import faulthandler, os, resource, signal, sys
from pathlib import Path
import torch
from jobs.records import TrialRequest
from jobs.trial import run_trial
from kernel.platforms.capture import captured
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import SmallKernel

place, trouble = Path(sys.argv[1]), sys.argv[2]
GIGABYTE = 1 << 30

def limit_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTE // 4,) * 2)

def go_wrong(inputs, outputs):
    if trouble == "python-memory":
        limit_memory()
        bytearray(GIGABYTE)
    elif trouble == "torch-memory":
        limit_memory()
        torch.zeros(GIGABYTE, dtype=torch.uint8)
    elif trouble == "file-size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        (place / "big").write_bytes(bytes(8192))
    elif trouble == "signal":
        faulthandler.enable()
        with captured(place / "trial" / "platform.log"):
            os.kill(os.getpid(), int(sys.argv[3]))

platform = QuickPlatform()
platform.after_run = go_wrong
request = TrialRequest(kernel="small", case="small", platform="quick", input_set="integers")
record = run_trial(request, 0, "n/0", 0, 0, platform, place / "trial", place / "cache", kernel=SmallKernel())
print(record.model_dump_json())
"""


def trial_elsewhere(place: Path, *trouble: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRIAL, str(place), *trouble], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [("python-memory", "out-of-memory"), ("torch-memory", "out-of-memory"), ("file-size", "host-resources")],
)
def test_a_process_at_its_limits_still_gives_a_record_that_blames_the_node(
    trouble: str, kind: str, tmp_path: Path
) -> None:
    done = trial_elsewhere(tmp_path, trouble)

    assert done.returncode == 0, done.stderr
    record = TrialRecord.model_validate_json(done.stdout)
    assert record.status is TrialStatus.ERRORED
    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.NODE, kind)


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGKILL, "killed-9"), (signal.SIGTERM, "killed")])
def test_a_process_that_is_killed_is_known_by_its_exit_code(number: signal.Signals, kind: str, tmp_path: Path) -> None:
    done = trial_elsewhere(tmp_path, "signal", str(int(number)))

    assert done.returncode == -number
    assert diagnosis.of_exit(done.returncode).kind == kind


def test_a_process_that_crashes_leaves_its_last_words_in_the_trials_log(tmp_path: Path) -> None:
    done = trial_elsewhere(tmp_path, "signal", str(int(signal.SIGSEGV)))
    assert diagnosis.of_exit(done.returncode).kind == "worker-died"

    found = failures.lost("ActorDiedError", "worker died", (tmp_path / "trial" / LOG_NAME).read_text())

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
