"""Makes a filter of system calls with libseccomp: from rules to the BPF program that bubblewrap installs.

libseccomp is the library that systemd, container runtimes and apt use. Seven functions of its stable C interface are
called here.
"""

from __future__ import annotations

import ctypes
import enum
import os
from collections.abc import Iterable
from dataclasses import dataclass

_LIBRARY = "libseccomp.so.2"  # the name of its stable binary interface, on every distribution
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_UNKNOWN = -1  # what it answers for the name of a call that is newer than it


class FilterUnavailableError(Exception):
    """No filter can be made on this machine."""


class ArgumentComparison(enum.IntEnum):
    """How an argument is compared, by libseccomp's numbers."""

    EQUAL = 4
    GREATER = 6
    MASKED_EQUAL = 7


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """A condition on one argument of a system call, as a number of 64 bits."""

    index: int
    comparison: ArgumentComparison
    value: int  # of MASKED_EQUAL the mask
    masked: int = 0  # what the argument is under that mask


@dataclass(frozen=True, slots=True)
class Refusal:
    """One system call that is not done: always, or where all of `tests` fit."""

    call: str
    error: int  # that it ends with; 0 for a success that changes nothing
    number: int | None = None  # for a library that does not know the name yet; the same on every architecture
    tests: tuple[ArgumentTest, ...] = ()  # each of another argument


class _Argument(ctypes.Structure):
    _fields_ = (
        ("index", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("masked", ctypes.c_uint64),
    )


def compile_filter(refusals: Iterable[Refusal], library: str = _LIBRARY) -> bytes:
    """Return the BPF program that refuses these calls and allows all others of this machine's own architecture.

    A call of another architecture, as a 64-bit process can make, ends the process. A call that this architecture does
    not have needs no rule.

    Raises:
        FilterUnavailableError: `library` is not installed, or makes no such filter.
    """
    made = _loaded(library)
    context = made.seccomp_init(_ALLOW)
    if not context:
        raise FilterUnavailableError(f"{library} makes no filter on this architecture")
    try:
        for refusal in refusals:
            _add(made, context, refusal)
        return _exported(made, context)
    finally:
        made.seccomp_release(context)


def _loaded(library: str) -> ctypes.CDLL:
    try:
        made = ctypes.CDLL(library)
        made.seccomp_init.restype = ctypes.c_void_p
        made.seccomp_init.argtypes = (ctypes.c_uint32,)
        made.seccomp_release.restype = None
        made.seccomp_release.argtypes = (ctypes.c_void_p,)
        made.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
        made.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Argument),
        )
        made.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    except (OSError, AttributeError) as error:
        raise FilterUnavailableError(f"{library} cannot be loaded: {error}") from error
    return made


def _add(made: ctypes.CDLL, context: int, refusal: Refusal) -> None:
    number = made.seccomp_syscall_resolve_name(refusal.call.encode())
    if number == _UNKNOWN:
        if refusal.number is None:
            raise FilterUnavailableError(f"libseccomp does not know the system call {refusal.call}")
        number = refusal.number
    if number < 0:  # known, but of another architecture
        return
    tests = [_Argument(each.index, each.comparison, each.value, each.masked) for each in refusal.tests]
    arguments = (_Argument * len(tests))(*tests)
    failed = made.seccomp_rule_add_array(context, _ERRNO | refusal.error, number, len(tests), arguments)
    if failed:
        raise FilterUnavailableError(f"libseccomp takes no rule for {refusal.call}: {os.strerror(-failed)}")


def _exported(made: ctypes.CDLL, context: int) -> bytes:
    """The program, through a file in memory: a pipe could be too small for it."""
    file = os.memfd_create("farm-filter")
    try:
        failed = made.seccomp_export_bpf(context, file)
        if failed:
            raise FilterUnavailableError(f"libseccomp exports no filter: {os.strerror(-failed)}")
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)
