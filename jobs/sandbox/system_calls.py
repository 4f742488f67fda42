"""The system calls that a confined program is refused, because no kernel and no build of one needs them.

Refused is what reaches other processes, what changes the machine, what has been the way out of sandboxes, and memory
that neither the size of a process nor that of a mounted file system shows. A call that an older Linux does not have
fails with `ENOSYS`: every library has another way for that case.
"""

from __future__ import annotations

import errno
import functools
import socket

from jobs.sandbox.libseccomp import ArgumentComparison, ArgumentTest, FilterUnavailableError, Refusal, compile_filter

_OTHER_PROCESSES = ("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd")
_MOUNTS = (
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "open_by_handle_at",
    "name_to_handle_at",
)
_NAMESPACES = ("unshare", "setns")
_MACHINE = (
    "clock_settime",
    "clock_adjtime",
    "settimeofday",
    "adjtimex",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "syslog",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vhangup",
)
_WAYS_OUT = ("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "fanotify_init")
# Pages in a pipe belong to no process. A pipe holds at most 16 small ones as long as nothing else can be put into it.
_PIPES = ("vmsplice", "splice", "tee")
_MISSING = (
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    # Memory that stays without a process that maps it, and that no mounted file system bounds.
    "memfd_create",
    "shmget",
    "shmat",
    "msgget",
    "semget",
    "mq_open",
    # Its flags are in memory, which a filter cannot read. The C library then uses `clone`.
    "clone3",
)
# Newer than the oldest libseccomp in use. From 424 on, Linux numbers calls alike on every architecture.
_NEWER = {"quotactl_fd": 443, "memfd_secret": 447, "statmount": 457, "listmount": 458, "open_tree_attr": 467}

_NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW*
# A thread with open files of its own. Without any it suffices to count those of one thread of each process.
_FILES_OF_A_THREAD, _OWN_FILES = 0x00010400, 0x00010000  # CLONE_THREAD with CLONE_FILES, without it
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_F_SETPIPE_SZ = 1031
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
# The kernel takes the size of a send buffer as a wish, and says success where it gives less. So does the filter.
_SEND_BUFFERS = (7, 32)  # SO_SNDBUF, SO_SNDBUFFORCE
_SUCCESS = 0
_SHARED_WITHOUT_FILE = 0x21  # MAP_SHARED and MAP_ANONYMOUS
_KIND_OF_MAPPING = 0x23
_INT = 0xFFFFFFFF  # the kernel looks at these bits alone, so that a test of all 64 could be passed by


def refusals(*, shared_mappings: bool = True) -> tuple[Refusal, ...]:
    """Return every refused call; shared mappings without a file among them unless `shared_mappings`."""
    always = (*_OTHER_PROCESSES, *_MOUNTS, *_NAMESPACES, *_MACHINE, *_WAYS_OUT, *_PIPES)
    return (
        *(Refusal(call, errno.EPERM) for call in always),
        *(Refusal(call, errno.ENOSYS) for call in _MISSING),
        *(Refusal(call, errno.ENOSYS, number) for call, number in _NEWER.items()),
        *(Refusal("clone", errno.EPERM, tests=(_masked(0, flag, flag),)) for flag in _NEW_NAMESPACES),
        Refusal("clone", errno.EPERM, tests=(_masked(0, _FILES_OF_A_THREAD, _OWN_FILES),)),
        *(Refusal("ioctl", errno.EPERM, tests=(_masked(1, _INT, request),)) for request in _TERMINAL_INPUT),
        Refusal("fcntl", errno.EPERM, tests=(_masked(1, _INT, _F_SETPIPE_SZ),)),
        *(
            Refusal("setsockopt", _SUCCESS, tests=(_masked(1, _INT, socket.SOL_SOCKET), _masked(2, _INT, option)))
            for option in _SEND_BUFFERS
        ),
        *_other_families(),
        *(
            ()
            if shared_mappings
            else [Refusal("mmap", errno.EPERM, tests=(_masked(3, _KIND_OF_MAPPING, _SHARED_WITHOUT_FILE),))]
        ),
    )


def _masked(index: int, mask: int, masked: int) -> ArgumentTest:
    return ArgumentTest(index, ArgumentComparison.MASKED_EQUAL, mask, masked)


def _other_families() -> list[Refusal]:
    """Sockets of every family but three. Some, as of virtual machines, belong to no network namespace."""
    tests = [ArgumentTest(0, ArgumentComparison.GREATER, max(_FAMILIES))]
    tests += [
        ArgumentTest(0, ArgumentComparison.EQUAL, each) for each in range(max(_FAMILIES)) if each not in _FAMILIES
    ]
    return [Refusal("socket", errno.EAFNOSUPPORT, tests=(test,)) for test in tests]


@functools.cache
def compiled(*, shared_mappings: bool = True) -> tuple[bytes, str]:
    """Return the filter as bubblewrap reads it, and why there is none: one of the two is empty.

    Where nobody can see how much a shared mapping without a file holds once its owner has unmapped it in part, it is
    refused: `shared_mappings` is false.
    """
    try:
        return compile_filter(refusals(shared_mappings=shared_mappings)), ""
    except FilterUnavailableError as error:
        return b"", str(error)
