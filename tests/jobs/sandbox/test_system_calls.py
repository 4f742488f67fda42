"""What Linux refuses a confined program, each tried for real; and what every program needs still works."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.sandbox import bubblewrap, libseccomp, system_calls
from jobs.sandbox.libseccomp import FilterUnavailableError, Refusal
from tests.jobs.sandbox.confined import LIMITS, tried

FILTER, WHY_NOT = system_calls.compiled()
needs_sandbox = pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)
needs_filter = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def printed(source: str, place: Path) -> object:
    found = tried(source, place)
    assert found.ended.code == 0, found
    return json.loads(found.printed)


def number_of(call: str) -> int:
    """The number of a system call here; -1 where libseccomp does not know it."""
    return int(ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(call.encode()))


def numbers() -> dict[int, int]:
    """Every call that is refused whatever its arguments are → its error."""
    found = {}
    for refusal in system_calls.refusals():
        known = number_of(refusal.call)
        number = refusal.number if known == -1 else known
        if not refusal.tests and number is not None and number >= 0:
            found[number] = refusal.error
    return found


@needs_sandbox
@needs_filter
def test_every_refused_call_fails_as_it_should(tmp_path: Path) -> None:
    wanted = numbers()
    ask = f"""
    found = {{}}
    for number in {sorted(wanted)}:
        failed = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
        found[number] = ctypes.get_errno() if failed == -1 else 0
    print(json.dumps(found))
    """

    found = printed(ask, tmp_path)

    assert isinstance(found, dict)
    assert {int(number): error for number, error in found.items()} == wanted
    assert len(wanted) > 60


@needs_sandbox
@needs_filter
def test_refusals_by_argument_cannot_be_passed_by_with_bits_that_the_kernel_ignores(tmp_path: Path) -> None:
    ask = """
    def error(call, *arguments):
        ctypes.set_errno(0)
        call(*arguments)
        return errno.errorcode.get(ctypes.get_errno(), "")
    high = 1 << 32
    libc.ioctl.argtypes = libc.fcntl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
    way, _ = os.pipe()
    families = (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK, 38, 0, high | socket.AF_NETLINK)
    here, _ = socket.socketpair()
    before = here.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * before)
    print(json.dumps({
        "terminal": [error(libc.ioctl, way, request, None) for request in (0x5412, high | 0x5412, 0x541C)],
        "pipe": [error(libc.fcntl, way, request, 1 << 20) for request in (1031, high | 1031)],
        "family": [error(libc.socket, ctypes.c_ulong(each), socket.SOCK_DGRAM, 0) for each in families],
        "buffer": here.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - before,
    }))
    """

    assert printed(ask, tmp_path) == {
        "terminal": ["EPERM"] * 3,
        "pipe": ["EPERM"] * 2,
        "family": ["EAFNOSUPPORT"] * 6,
        "buffer": 0,
    }


@needs_sandbox
@needs_filter
def test_no_way_leads_to_a_new_namespace_or_to_a_thread_with_files_of_its_own(tmp_path: Path) -> None:
    ask = """
    import subprocess
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True, text=True)
    flags = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
    def error(call, *arguments):
        ctypes.set_errno(0)
        if call(*arguments) == 0 and os.getpid() != here:
            os._exit(0)
        return errno.errorcode.get(ctypes.get_errno(), "")
    here = os.getpid()
    thread = 0x10000 | 0x800 | 0x100  # CLONE_THREAD, CLONE_SIGHAND, CLONE_VM
    print(json.dumps({
        "thread": error(libc.syscall, CLONE, ctypes.c_long(thread), 0, 0, 0, 0),
        "command": [done.returncode != 0, "not permitted" in done.stderr],
        "unshare": [error(libc.unshare, flag) for flag in flags],
        "clone": [error(libc.syscall, CLONE, ctypes.c_long(flag | signal.SIGCHLD), 0, 0, 0, 0) for flag in flags],
    }))
    """

    found = printed(ask.replace("CLONE", str(number_of("clone"))), tmp_path)

    refused = ["EPERM"] * 7
    assert found == {"thread": "EPERM", "command": [True, True], "unshare": refused, "clone": refused}


@needs_sandbox
@needs_filter
def test_processes_threads_sockets_and_files_work(tmp_path: Path) -> None:
    ask = """
    import multiprocessing, subprocess, tempfile, threading
    done = []
    thread = threading.Thread(target=done.append, args=["thread"])
    thread.start(); thread.join()
    child = os.fork()
    if child == 0:
        os._exit(7)
    done.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    done.append(subprocess.run(["echo", "spawned"], capture_output=True, text=True).stdout.strip())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        done.append("connected")
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    done.append(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 5)())
    done.append(multiprocessing.Array("i", 3)[:])
    print(json.dumps(done))
    """

    assert printed(ask, tmp_path) == ["thread", 7, "spawned", "connected", 5, [0, 0, 0]]


@contextlib.contextmanager
def abstract_listener() -> Iterator[str]:
    """The name of an abstract socket of this machine, which is in no file system."""
    name = f"farm-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        yield name


@needs_sandbox
def test_the_machine_and_other_processes_are_out_of_reach(tmp_path: Path) -> None:
    with abstract_listener() as name:
        ask = f"""
        found = {{}}
        def attempt(what, how):
            try:
                found[what] = repr(how())[:100]
            except OSError as error:
                found[what] = None
        attempt("abstract socket", lambda: socket.socket(socket.AF_UNIX).connect("\\0{name}"))
        attempt("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
        attempt("memory of another", lambda: open("/proc/1/mem", "rb").read(1))
        attempt("memory of the machine", lambda: open("/proc/kcore", "rb").read(1))
        attempt("settings", lambda: open("/proc/sys/kernel/hostname", "w"))
        attempt("trigger", lambda: open("/proc/sysrq-trigger", "w"))
        attempt("log of the kernel", lambda: open("/dev/kmsg"))
        attempt("priority", lambda: os.nice(-5))
        attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
        found["disks"] = [each for each in os.listdir("/dev") if each.startswith(("sd", "vd", "nvme"))] or None
        found["ptrace"] = libc.ptrace(16, 1, None, None) + 1 or None
        print(json.dumps(found))
        """
        found = printed(ask, tmp_path)

    assert isinstance(found, dict)
    assert {what: how for what, how in found.items() if how is not None} == {}
    assert len(found) == 11


@needs_sandbox
@pytest.mark.parametrize("ending", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_nothing_is_left_once_it_has_ended(ending: str, tmp_path: Path) -> None:
    nap = ["sleep", str(200_000 + os.getpid())]
    leave = f"""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.execvp("sleep", {nap})
        os._exit(0)
    time.sleep(0.3)
    {ending}
    """

    tried(leave, tmp_path)

    assert [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == nap] == []


@needs_sandbox
def test_a_fork_bomb_reaches_the_limit_on_processes(tmp_path: Path) -> None:
    bomb = """
    while True:
        try:
            os.fork()
        except BlockingIOError:
            time.sleep(0.01)
    """

    begun = time.monotonic()
    found = tried(bomb, tmp_path)

    assert found.ended.over in ("more than 64 processes", "more than 67 MB of memory")
    assert time.monotonic() - begun < LIMITS.time_s


def test_a_machine_without_the_library_says_so() -> None:
    with pytest.raises(FilterUnavailableError, match=r"libmissing\.so\.1 cannot be loaded"):
        libseccomp.compile_filter([], "libmissing.so.1")


@needs_filter
def test_a_call_that_nobody_knows_is_not_left_out_silently() -> None:
    with pytest.raises(FilterUnavailableError, match="does not know the system call make_coffee"):
        libseccomp.compile_filter([Refusal("make_coffee", errno.EPERM)])


@needs_filter
def test_a_call_of_another_architecture_needs_no_rule() -> None:
    nothing = libseccomp.compile_filter([])

    assert libseccomp.compile_filter([Refusal("s390_pci_mmio_read", errno.EPERM)]) == nothing
    assert libseccomp.compile_filter([Refusal("ptrace", errno.EPERM)]) != nothing
    assert len(FILTER) % 8 == 0


def test_what_sandboxes_are_left_by_is_refused() -> None:
    refused = {each.call for each in system_calls.refusals()}

    assert refused >= {"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"}
    assert refused >= {
        "mount",
        "umount2",
        "open_tree",
        "move_mount",
        "fsopen",
        "fsmount",
        "mount_setattr",
        "pivot_root",
    }
    assert refused >= {"unshare", "setns", "clone", "clone3", "keyctl", "bpf", "perf_event_open", "userfaultfd"}
    assert refused >= {"io_uring_setup", "kexec_load", "clock_settime", "settimeofday", "memfd_create", "vmsplice"}


@needs_filter
def test_shared_mappings_are_refused_only_where_nobody_sees_them() -> None:
    there, refused = (system_calls.compiled(shared_mappings=each)[0] for each in (True, False))

    assert len(refused) > len(there)
    assert {each.call for each in system_calls.refusals(shared_mappings=False)} - {
        each.call for each in system_calls.refusals()
    } == {"mmap"}
