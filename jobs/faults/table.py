"""Every fault the farm knows: what it looks like, whose it is, what is done about it, and why.

The one place that maps exceptions, lost workers, exit codes and error codes to kernel, device, node or farm. Pure data;
`jobs.faults.diagnosis` finds the row for what was seen, `jobs.faults.failures` makes the record,
`farm.execution.failure_policy` decides on retries and guilt. The operators' copy in `docs/operator/faults.md` is held
to this table by a test.

Sources of the reasons: CANN's `rt_error_codes.h` and its rules for return codes (1xxxxx environment or wrong call,
2xxxxx resources, 5xxxxx chip or internal); simpler, the runtime of newer PyPTO (its `docs/troubleshooting`, and issues
1019, 1979, 2395); PyPTO's list of MACHINE errors (F7xxxx, F8xxxx); Ray's exceptions as Ray 2.60 was seen to raise them.
"""

from __future__ import annotations

from collections.abc import Mapping

from jobs.faults.model import Action, FaultRow, Source
from jobs.records import Fault


def _rows(
    source: Source, signals: Mapping[str, str], kind: str, fault: Fault, action: Action, reason: str
) -> tuple[FaultRow, ...]:
    """Rows that share all but signal and name; `{}` in `kind` stands for the signal, and so does an empty `kind`."""
    return tuple(
        FaultRow(source, sign, name, (kind or sign).format(sign), fault, action, reason)
        for sign, name in signals.items()
    )


def _kernel(signal: str, kind: str, reason: str, source: Source = Source.EXCEPTION) -> tuple[FaultRow, ...]:
    """What one occurrence proves."""
    return _rows(source, {signal: ""}, kind, Fault.KERNEL, Action.FAIL, reason)


def _node(source: Source, signals: Mapping[str, str], kind: str, reason: str) -> tuple[FaultRow, ...]:
    """The machine's, which another machine may not have."""
    return _rows(source, signals, kind, Fault.NODE, Action.RETRY_ELSEWHERE, reason)


def _codes(signals: Mapping[str, str], action: Action, reason: str) -> tuple[FaultRow, ...]:
    """Error codes of the runtime on the host."""
    return _rows(Source.RUNTIME, signals, "device-{}", Fault.DEVICE, action, reason)


def _latched(signals: Mapping[str, str], fault: Fault, action: Action, reason: str) -> tuple[FaultRow, ...]:
    """Codes the device keeps: more exact than the host's code for the same event, and older."""
    return _rows(Source.LATCHED, signals, "", fault, action, reason)


TABLE: tuple[FaultRow, ...] = (
    *_kernel("CompileError", "compile", "The compiler gives the same answer on every machine."),
    *_kernel("TuningError", "tuning", "A guard is arithmetic on the tuning; no device was asked."),
    *_kernel("TensorError", "tensor", "Names, shapes and dtypes are what the kernel itself declares."),
    *_kernel(
        "KernelContractError", "kernel-contract", "Its inputs and golden are computed on the host, by its own code."
    ),
    *_kernel("UnwrittenOutputError", "unwritten-output", "The poison put into the output is still there."),
    *_kernel("unwritten-output", "unwritten-output", "The poison put into the output is still there.", Source.FARM),
    *_kernel("input-changed", "input-changed", "The input's digest differs after the run.", Source.FARM),
    *_kernel("InputChangedError", "input-changed", "The input's digest differs after the run."),
    *_kernel("kernel-raised", "kernel-raised", "The kernel's own Python code was running when it raised.", Source.FARM),
    *_kernel(
        "disk-quota",
        "disk-quota",
        "It wrote more than its harness's profile allows, on whatever machine.",
        Source.FARM,
    ),
    *_rows(
        Source.EXCEPTION,
        {"NotATimeError": ""},
        "no-time",
        Fault.FARM,
        Action.FAIL_CLOSED,
        "A time that is NaN, infinite or not above 0 measures nothing, and says nothing about the kernel.",
    ),
    *_rows(
        Source.EXCEPTION,
        {"UnprovenTimeError": ""},
        "unproven-time",
        Fault.FARM,
        Action.FAIL_CLOSED,
        "The time is not the cost model's for what the program compiled, or nobody can compute it.",
    ),
    *_rows(
        Source.FARM,
        {"bad-argument": ""},
        "bad-argument",
        Fault.FARM,
        Action.FAIL_CLOSED,
        "The file's own parser refuses an argument, and every argument is the profile's or the farm's.",
    ),
    *_rows(
        Source.FARM,
        {"toolchain-refused": ""},
        "toolchain-refused",
        Fault.FARM,
        Action.NEUTRAL,
        "A compiler, assembler or binding refuses code that another tool has made; another version may take it.",
    ),
    *_rows(
        Source.FARM,
        {"unexplained-…": ""},
        "unexplained-…",
        Fault.FARM,
        Action.ASK_ANOTHER_CARD,
        "An ending that no signature knows proves nothing; the same on a second card is the program's.",
    ),
    *_rows(
        Source.FARM,
        {"setup": ""},
        "setup",
        Fault.NODE,
        Action.ASK_ANOTHER_CARD,
        "A set-up step that fails is the commit's or the machine's; the same for a second card is the commit's.",
    ),
    *_rows(
        Source.FARM,
        {"setup-hang": ""},
        "setup-hang",
        Fault.NODE,
        Action.RETRY_ONCE,
        "A slow machine and a set-up without end look alike; the same for a second card is the commit's.",
    ),
    *_node(Source.FARM, {"fetch-failed": ""}, "fetch-failed", "The network, or the server at its other end, failed."),
    *_kernel("ProgramRaisedError", "kernel-raised", "The kernel's own Python code was running when it raised."),
    *_kernel("UnknownCaseError", "no-case", "The commit's program does not know the case."),
    *_kernel(
        "BadProgramAnswerError",
        "bad-answer",
        "A confined program gave an answer that cannot be read, or that contradicts itself.",
    ),
    *_kernel("LimitExceededError", "over-limit", "The same limits hold for every confined program on every machine."),
    *_kernel(
        "over-limit", "over-limit", "The same limits hold for every confined program on every machine.", Source.FARM
    ),
    *_latched(
        {"scheduler-101": "ASYNC_COMPLETION_INVALID", "scheduler-102": "ASYNC_WAIT_OVERFLOW"},
        Fault.KERNEL,
        Action.FAIL,
        "Only a kernel's own asynchronous calls latch these.",
    ),
    *_latched(
        {
            "orchestrator-1": "SCOPE_DEADLOCK",
            "orchestrator-2": "HEAP_RING_DEADLOCK",
            "orchestrator-3": "FLOW_CONTROL_DEADLOCK",
            "orchestrator-4": "DEP_POOL_OVERFLOW",
            "orchestrator-5": "INVALID_ARGS",
            "orchestrator-7": "REQUIRE_SYNC_START_INVALID",
            "orchestrator-8": "TENSOR_WAIT_TIMEOUT",
            "orchestrator-9": "EXPLICIT_ORCH_FATAL",
        },
        Fault.DEVICE,
        Action.ASK_ANOTHER_CARD,
        "Usually the program's, or a ring too small for it; that proves nothing.",
    ),
    *_latched(
        {"scheduler-100": "SCHEDULER_TIMEOUT"},
        Fault.DEVICE,
        Action.ASK_ANOTHER_CARD,
        "A stall is the kernel's or the card's; a second card decides.",
    ),
    *_latched(
        {
            "orchestrator-10": "SCOPE_TASKS_OVERFLOW",
            "orchestrator-11": "TENSORMAP_OVERFLOW",
            "scheduler-103": "ASYNC_REGISTRATION_FAILED",
            "scheduler-104": "READY_QUEUE_OVERFLOW",
        },
        Fault.FARM,
        Action.NEUTRAL,
        "The runtime's maintainers count these as bugs of the runtime.",
    ),
    *_codes(
        {
            "507000": "internal error",
            "507014": "AICORE timeout",
            "507015": "AICORE exception",
            "507017": "AICPU timeout",
            "507018": "AICPU exception",
            "507034": "vector core timeout",
            "507035": "vector core exception",
            "507046": "stream sync timeout",
        },
        Action.ASK_ANOTHER_CARD,
        "Several mechanisms, a kernel's loop and a wedged card among them, surface as the same code.",
    ),
    *_codes(
        {"507899": "driver internal error", "107022": "task abort", "507901": "connection to the device closed"},
        Action.FALLOUT,
        "Every later call on a faulted card returns it.",
    ),
    *_codes(
        {"207001": "memory allocation"},
        Action.FALLOUT,
        "Reads as out of memory, and was a launch on a card that had faulted before.",
    ),
    *_rows(
        Source.LOG,
        {r"SIMPLER_DEVICE_UNUSABLE|unusable after a prior device failure": "card marked unusable"},
        "device-unusable",
        Fault.DEVICE,
        Action.FALLOUT,
        "The runtime refuses a card that failed earlier in the same process (its code -1).",
    ),
    *_codes(
        {"507033": "device setup error", "507010": "lost heartbeat"},
        Action.QUARANTINE,
        "The card does not start, or has stopped answering its driver, before any kernel is to blame.",
    ),
    *_codes(
        {"507053": "device memory error", "507054": "multi-bit ECC error"},
        Action.QUARANTINE,
        "The card's memory is broken.",
    ),
    *_rows(
        Source.LOG,
        {r"halMemCtl failed with rc=13\b": "card busy"},
        "card-busy",
        Fault.DEVICE,
        Action.QUARANTINE,
        "13 is the driver's BUSY; a sibling die lets go within 2 s, so what is still busy then is stuck.",
    ),
    *_rows(
        Source.LOG,
        {r"BootstrapDispatcher: .* failed": "dispatcher did not start"},
        "dispatcher-start",
        Fault.DEVICE,
        Action.QUARANTINE,
        "The dispatcher starts before any kernel; a wedged card fails it each time.",
    ),
    *_codes(
        {"F7…": "PyPTO machine error", "F8…": "PyPTO machine error", "2…": "resource error", "5…": "internal error"},
        Action.ASK_ANOTHER_CARD,
        "Not listed above: 2xxxxx is for resources, 5xxxxx for chip and internals, F7 and F8 for PyPTO's launch.",
    ),
    *_codes(
        {"1…": "wrong call or lost context"},
        Action.FALLOUT,
        "CANN's class for wrong calls; seen after a fault has taken the context away.",
    ),
    *_codes({"unknown": ""}, Action.RETRY_ELSEWHERE, "Without a code, two of them agree on nothing."),
    *_rows(
        Source.RUNTIME,
        {"no-swimlane": "no tasks recorded"},
        "nothing-measured",
        Fault.FARM,
        Action.FAIL_CLOSED,
        "Ended well without a time: nothing was measured, which is never a pass.",
    ),
    *_rows(
        Source.FARM,
        {"hang": "no answer"},
        "hang",
        Fault.DEVICE,
        Action.RETRY_ONCE,
        "A slow host, a wedged card and an endless loop look alike; the same on two cards is the loop.",
    ),
    *_rows(
        Source.EXCEPTION,
        {"ProgramHungError": "no answer"},
        "hang",
        Fault.DEVICE,
        Action.RETRY_ONCE,
        "A slow host, a wedged card and an endless loop look alike; the same on two cards is the loop.",
    ),
    *_rows(
        Source.WORKER,
        {"GetTimeoutError": "no answer"},
        "hang",
        Fault.DEVICE,
        Action.RETRY_ONCE,
        "A slow host, a wedged card and an endless loop look alike; the same on two cards is the loop.",
    ),
    *_rows(
        Source.EXIT,
        {"124": "time limit", "130": "SIGINT", "143": "SIGTERM"},
        "killed",
        Fault.DEVICE,
        Action.RETRY_ONCE,
        "What a time limit from outside sends: a hang or a mere wait.",
    ),
    *_node(
        Source.EXIT,
        {"137": "SIGKILL"},
        "killed-9",
        "The system's out-of-memory killer sends it, and any time limit that lost patience: no evidence on the kernel.",
    ),
    *_rows(
        Source.EXIT,
        {"132": "SIGILL", "134": "SIGABRT", "135": "SIGBUS", "136": "SIGFPE", "139": "SIGSEGV", "…": "any other"},
        "worker-died",
        Fault.DEVICE,
        Action.ASK_ANOTHER_CARD,
        "The kernel, the runtime or the card can crash a process; a second card decides.",
    ),
    *_rows(
        Source.EXCEPTION,
        {"ProgramDiedError": "confined program"},
        "worker-died",
        Fault.DEVICE,
        Action.ASK_ANOTHER_CARD,
        "The kernel, the runtime or the card can crash a process; a second card decides.",
    ),
    *_rows(
        Source.EXIT,
        {"0": "ended early"},
        "nothing-measured",
        Fault.FARM,
        Action.FAIL_CLOSED,
        "Ended well without a time: nothing was measured, which is never a pass.",
    ),
    *_rows(
        Source.LOG,
        {r"Fatal Python error: \w": "process crashed"},
        "worker-died",
        Fault.DEVICE,
        Action.ASK_ANOTHER_CARD,
        "The kernel, the runtime or the card can crash a process; a second card decides.",
    ),
    *_rows(
        Source.WORKER,
        {"ActorDiedError": "worker died", "WorkerCrashedError": "worker died"},
        "worker-died",
        Fault.DEVICE,
        Action.ASK_ANOTHER_CARD,
        "Ray sees a process end, rarely why: crash, kill and lack of memory look alike.",
    ),
    *_node(
        Source.WORKER,
        {
            "ActorUnavailableError": "node out of reach",
            "NodeDiedError": "node died",
            "LocalRayletDiedError": "Ray's node process died",
            "…": "any other",
        },
        "unreachable",
        "The node, its network or Ray on it has gone; its devices are out of reach too, and nothing is known of them.",
    ),
    *_node(
        Source.WORKER, {"OutOfMemoryError": "Ray's memory monitor"}, "out-of-memory", "The machine's memory ran out."
    ),
    *_node(Source.EXCEPTION, {"MemoryError": "", "ENOMEM": ""}, "out-of-memory", "The machine's memory ran out."),
    *_node(
        Source.LOG,
        {r"DefaultCPUAllocator: (?:can't allocate|not enough) memory": "torch's allocator"},
        "out-of-memory",
        "The machine's memory ran out.",
    ),
    *_node(
        Source.EXCEPTION,
        {"ENOSPC": "", "EDQUOT": ""},
        "disk-full",
        "The machine's disk, or the account's share of it, is full.",
    ),
    *_node(
        Source.WORKER, {"OutOfDiskError": ""}, "disk-full", "The machine's disk, or the account's share of it, is full."
    ),
    *_node(
        Source.EXCEPTION,
        {"OSError": "any other errno"},
        "host-resources",
        "Files, descriptors, permissions: the machine's, and another machine may have them.",
    ),
    *_node(
        Source.EXCEPTION,
        {"PlatformUnavailableError": ""},
        "platform-unavailable",
        "Something is not installed, or a device is hidden, on this machine.",
    ),
    *_node(Source.FARM, {"no-replacement": ""}, "no-replacement", "No device was free to go on with."),
    *_rows(
        Source.FARM,
        {"lease-limit": "", "run-limit": ""},
        "",
        Fault.FARM,
        Action.FAIL_CLOSED,
        "The time is spent; a further attempt would have none.",
    ),
    *_rows(
        Source.EXCEPTION,
        {"…": "any other, raised outside the kernel's code"},
        "crash",
        Fault.FARM,
        Action.RETRY_ELSEWHERE,
        "Nobody planned for it, so it is the farm's until proven otherwise.",
    ),
)
