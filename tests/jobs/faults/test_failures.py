"""Whose fault it is and what is reported, from exceptions, logs, exit codes and what Ray says of a lost worker."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from jobs.faults import diagnosis, failures
from jobs.faults.model import Action
from jobs.records import Fault
from kernel.errors import CompileError, DeviceError, GuardError, KernelLayerError, TensorError, UnwrittenOutputError
from tests.fakes.small_kernel import SmallKernel

# As Ray 2.60 words it. The causes it lists are its guess, not this worker's.
DIED_UNEXPLAINED = """The actor died unexpectedly before finishing this task.
\tclass_name: DeviceWorker
\tpid: 15466
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed \
by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly \
due to SIGSEGV or another unexpected error."""
DIED_WITH_3 = "Worker exit detail: Worker exits unexpectedly. Worker exits with an exit code 3."
DIED_OF_SIGTERM = DIED_WITH_3.replace("code 3", "code 1") + " The process receives a SIGTERM."
NODE_GONE = (
    "The actor died unexpectedly before finishing this task.\nThe actor died because its node has died. Node Id: 6"
)
MEMORY_GONE = "1 worker(s) were killed due to the node running low on memory."
NO_ANSWER = "no answer within 900 s; the worker was killed"


@pytest.mark.parametrize(
    ("error", "fault", "kind"),
    [
        (CompileError("F21004", "MATMUL", "bad tile"), Fault.KERNEL, "compile"),
        (GuardError("rows", 7, 2, "choose another"), Fault.KERNEL, "tuning"),
        (TensorError("'x' is missing"), Fault.KERNEL, "tensor"),
        (UnwrittenOutputError("row 3"), Fault.KERNEL, "unwritten-output"),
        (DeviceError("507014", "AICORE_TIMEOUT"), Fault.DEVICE, "device-507014"),
        (DeviceError("507033", "no start"), Fault.DEVICE, "device-507033"),
        (DeviceError("no-swimlane", "no tasks"), Fault.FARM, "nothing-measured"),
        (MemoryError(), Fault.NODE, "out-of-memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Fault.NODE, "out-of-memory"),
        (OSError(errno.ENOSPC, "No space left on device"), Fault.NODE, "disk-full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Fault.NODE, "disk-full"),
        (PermissionError(errno.EACCES, "Permission denied"), Fault.NODE, "host-resources"),
        (OSError("without a number"), Fault.NODE, "host-resources"),
        (KernelLayerError("new"), Fault.FARM, "crash"),
        (ZeroDivisionError("ours"), Fault.FARM, "crash"),
    ],
)
def test_an_exception_is_somebodys_fault(error: Exception, fault: Fault, kind: str) -> None:
    found = failures.failure(error, SmallKernel(), "platform.log")

    assert (found.fault, found.kind, found.log) == (fault, kind, "platform.log")
    assert found.message


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("507018", Action.ASK_ANOTHER_CARD),
        ("507899", Action.FALLOUT),
        ("507054", Action.QUARANTINE),
        ("507777", Action.ASK_ANOTHER_CARD),  # of a listed family
        ("207018", Action.ASK_ANOTHER_CARD),
        ("107003", Action.FALLOUT),
        ("F70001", Action.ASK_ANOTHER_CARD),
        ("unknown", Action.RETRY_ELSEWHERE),
        ("what-is-this", Action.RETRY_ELSEWHERE),
    ],
)
def test_a_device_code_has_a_row_or_its_familys(code: str, action: Action) -> None:
    row = diagnosis.of_device_code(code)

    assert (row.action, row.kind) == (action, f"device-{code}")
    assert diagnosis.of_kind(row.kind) == row


@pytest.mark.parametrize(
    ("code", "kind"),
    [(0, "nothing-measured"), (1, "worker-died"), (124, "killed"), (-15, "killed"), (143, "killed"), (-9, "killed-9")],
)
def test_an_exit_code_and_a_signal_are_told_apart(code: int, kind: str) -> None:
    assert diagnosis.of_exit(code).kind == kind


def test_a_kind_nobody_knows_proves_nothing() -> None:
    assert diagnosis.of_kind("of-a-newer-version").action is Action.RETRY_ELSEWHERE


# Lines as CANN, torch_npu and simpler print them.
AICORE = "[W compiler_depend.ts:526] Warning: NPU warning, error code is 507015[Error]:"
SYNC = "EH9999: wait for compute device to finish failed, runtime result = 507046.[FUNC:ReportCallError]"
MALLOC = "[ERROR] rtMalloc failed: 507899 (size=1024)"
AICPU = "[ERROR] aclrtSynchronizeStreamWithTimeout (AICPU) failed: 507018"
STREAM = "RuntimeError: ACL stream synchronize failed, error code:507035"
RUN = "RuntimeError: simpler_run failed with code 507018"
BUSY = "[ERROR] halMemCtl failed with rc=13"
BUSY_YET = "halMemCtl rc=13 (EACCES) on devid=1 (acl=1) attempt 1/3, retrying after 50 ms"
WEDGED = "[ERROR] BootstrapDispatcher: aclrtSynchronizeStream failed: 507018"
UNUSABLE = "[ERROR] simpler_prepare_run: runner is unusable after a prior device failure"
LATCHED = "[ERROR] PTO2 runtime failed: orch_error_code=0 sched_error_code=101 runtime_status=-101"
RUNTIME_BUG = "[ERROR] PTO2 runtime failed: orch_error_code=11 sched_error_code=0 runtime_status=-11"
CRASHED = "Fatal Python error: Segmentation fault"


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ([AICORE], "device-507015"),
        ([SYNC], "device-507046"),
        ([STREAM], "device-507035"),
        ([RUN], "device-507018"),
        ([MALLOC, AICORE, SYNC], "device-507015"),  # fallout of before goes behind a real fault
        ([AICORE, MALLOC, SYNC], "device-507015"),
        ([MALLOC], "device-507899"),  # nothing else to report
        ([UNUSABLE, MALLOC], "device-unusable"),
        ([BUSY_YET, AICPU], "device-507018"),  # the driver got it in the end
        ([BUSY, AICPU], "card-busy"),
        ([WEDGED], "dispatcher-start"),
        ([AICPU, LATCHED], "scheduler-101"),  # latched before the host noticed
        ([AICPU, RUNTIME_BUG], "orchestrator-11"),
        ([CRASHED], "worker-died"),
    ],
)
def test_the_first_fault_of_a_log_is_found(lines: list[str], kind: str) -> None:
    seen = diagnosis.first_fault("\n".join(["compiling", *lines, "done"]))

    assert seen is not None
    assert seen.row.kind == kind
    assert seen.line in lines


@pytest.mark.parametrize(
    "innocent",
    [
        "",
        "x: 507015 elements, 207001 of them zero",
        "tensor [507018, 64] at 0x507014",
        "error code is 5070150",
        "orch_error_code=0 sched_error_code=0",
        "elapsed 107022 us",
    ],
)
def test_a_number_of_six_digits_is_no_error_code_yet(innocent: str) -> None:
    assert diagnosis.first_fault(innocent) is None


def test_a_log_of_one_endless_line_is_read_in_good_time() -> None:
    assert diagnosis.first_fault("failed: 507899 " * 200_000) is not None


def test_the_first_fault_is_reported_and_its_fallout_named() -> None:
    error = DeviceError("507899", "rtMalloc failed: 507899", printed=f"compiling\n{AICORE}\n{MALLOC}\n")

    found = failures.failure(error, SmallKernel())

    assert found.kind == "device-507015"
    assert found.message.startswith("device error 507015 AICORE exception (then 507899): ")
    assert AICORE in found.message


def test_fallout_beside_a_real_error_is_not_reported_instead_of_it() -> None:
    error = DeviceError("507015", "aicore exception", printed=f"{MALLOC}\n")

    assert failures.failure(error, SmallKernel()).message == "device error 507015: aicore exception"


def test_what_the_device_latched_explains_the_hosts_code() -> None:
    found = failures.failure(DeviceError("507018", "sync failed", printed=f"{AICPU}\n{LATCHED}"), SmallKernel())

    assert (found.fault, found.kind) == (Fault.KERNEL, "scheduler-101")
    assert found.message.startswith("scheduler error 101 ASYNC_COMPLETION_INVALID (then 507018): ")


def test_a_device_error_keeps_its_log_from_process_to_process() -> None:
    again = pickle.loads(pickle.dumps(DeviceError("507018", "sync failed", printed=AICPU)))

    assert (str(again), again.printed) == ("device error 507018: sync failed", AICPU)


@pytest.mark.parametrize(
    ("signal", "detail", "fault", "kind"),
    [
        ("hang", NO_ANSWER, Fault.DEVICE, "hang"),
        ("worker-died", "in our own words", Fault.DEVICE, "worker-died"),
        ("GetTimeoutError", "Get timed out", Fault.DEVICE, "hang"),
        ("ActorDiedError", DIED_UNEXPLAINED, Fault.DEVICE, "worker-died"),
        ("ActorDiedError", DIED_WITH_3, Fault.DEVICE, "worker-died"),
        ("ActorDiedError", DIED_OF_SIGTERM, Fault.DEVICE, "killed"),
        ("ActorDiedError", NODE_GONE, Fault.NODE, "unreachable"),
        ("ActorDiedError", MEMORY_GONE, Fault.NODE, "out-of-memory"),
        ("OutOfMemoryError", "Task was killed", Fault.NODE, "out-of-memory"),
        ("OutOfDiskError", "Local disk is full", Fault.NODE, "disk-full"),
        ("ActorUnavailableError", "The actor a is unavailable: RpcError", Fault.NODE, "unreachable"),
        ("NodeDiedError", "gone", Fault.NODE, "unreachable"),
        ("SomethingRayAddsLater", "?", Fault.NODE, "unreachable"),
        ("RayTaskError(MemoryError)", "ray::trial()\nMemoryError", Fault.NODE, "out-of-memory"),
        ("RayTaskError(OSError)", "OSError: [Errno 28] No space left on device", Fault.NODE, "disk-full"),
        ("RayTaskError(NotADirectoryError)", "NotADirectoryError: [Errno 20] Not a", Fault.NODE, "host-resources"),
        ("RayTaskError(KeyError)", "KeyError: 'q'", Fault.FARM, "crash"),
        ("RayTaskError", "something", Fault.FARM, "crash"),
    ],
)
def test_a_lost_worker_is_somebodys_fault(signal: str, detail: str, fault: Fault, kind: str) -> None:
    found = failures.lost(signal, detail)

    assert (found.fault, found.kind) == (fault, kind)
    assert "\n" not in found.message
    assert len(found.message) < 400


def test_a_lost_worker_says_what_is_known_and_no_more() -> None:
    unexplained = failures.lost("ActorDiedError", DIED_UNEXPLAINED).message

    assert "SIGSEGV" not in unexplained
    assert "without an exit code" in unexplained
    assert "exit code 3" in failures.lost("ActorDiedError", DIED_WITH_3).message
    assert "SIGTERM" in failures.lost("ActorDiedError", DIED_OF_SIGTERM).message


def test_the_devices_word_beats_the_time_limit_and_both_are_told() -> None:
    found = failures.lost("hang", NO_ANSWER, f"compiling\n{AICORE}\n{SYNC}", "logs/a")

    assert (found.fault, found.kind, found.log) == (Fault.DEVICE, "device-507015", "logs/a")
    assert found.message.startswith("device error 507015 AICORE exception: ")
    assert found.message.endswith(f"; then {NO_ANSWER}")


def test_a_quiet_log_leaves_the_hang_a_hang() -> None:
    assert failures.lost("hang", NO_ANSWER, "compiling\n").message == NO_ANSWER


def test_an_error_in_the_kernels_own_code_is_the_kernels(tmp_path: Path) -> None:
    class Own(SmallKernel):
        def sources(self) -> tuple[Path, ...]:
            return (Path(__file__),)

    def raised(error: Exception) -> Exception:
        try:
            raise error
        except type(error) as caught:
            return caught

    assert failures.failure(raised(IndexError("7")), Own()).kind == "kernel-raised"
    assert failures.failure(raised(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), Own()).kind == "disk-full"
    assert failures.failure(raised(IndexError("7")), SmallKernel()).kind == "crash"
