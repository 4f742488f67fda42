"""Failures that look the same in every repository of the field, and whose they are. Read after a profile's own.

Each is the machine's, the toolchain's or the device's: what a kernel did wrong is for a profile to know. Sources: runs
of pypto-lib 825a7858 (2026-05) on an incomplete machine, recorded; public issues of pypto-lib, simpler and CANN.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernel.harness.profile_sections import Signature

# A kernel's own, by one occurrence. The kinds of all others say nothing about the program that was run.
OWN_KINDS = frozenset({"compile", "tuning", "kernel-raised", "disk-quota"})

# pytest puts "E   " before the lines of an exception.
_TOOLS = r"(?:g\+\+|gcc|clang\+*|cc1plus|ccec|bisheng|ptoas|cmake|ninja|make|ld)(?:-\d+)?"


def _signature(kind: str, *lines: str) -> Signature:
    return Signature(lines=list(lines), kind=kind)


MACHINE = (
    _signature("disk-full", r"No space left on device", r"Errno 28\b", r"Disk quota exceeded"),
    _signature(
        "out-of-memory",
        r"^(?:E +)?MemoryError\b",
        r"DefaultCPUAllocator: (?:can.t allocate|not enough) memory",
        r"Killed signal terminated program",
        r"Cannot allocate memory",
        r"virtual memory exhausted",
        r"std::bad_alloc",
    ),
    _signature(
        "fetch-failed",
        r"CalledProcessError: .*\bgit\b.*\b(?:clone|fetch|submodule)\b",
        r"Could not resolve host",
        r"Temporary failure in name resolution",
        r"fatal: unable to access",
        r"^(?:E +)?(?:urllib\.error\.|requests\.exceptions\.)?(?:URLError|ConnectionError|SSLError)\b",
    ),
    _signature(
        "platform-unavailable",
        r"\bptoas binary not found",
        rf"\b{_TOOLS} not found\b",
        rf"No such file or directory: '(?:[^']*/)?{_TOOLS}'",
        rf"{_TOOLS}: (?:command )?not found",
        r"\bASCEND_\w+['\"]? is (?:not set|required)",
        r"Environment variable '\w+' is not set",
        r"undefined symbol: \w+",
        r"cannot open shared object file",
        r"^(?:E +)?AttributeError: module 'torch' has no attribute 'npu'",  # torch_npu is not installed
        r"version `(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+' not found",
        r"^(?:E +)?ModuleNotFoundError: No module named '(?:pypto|torch|torch_npu|simpler|triton|tilelang|acl|tbe)\b",
        r"^(?:E +)?ImportError: .*\b(?:pypto|torch|torch_npu|simpler|triton|acl)\b",
    ),
    _signature(
        "host-resources",
        r"\bptoas compilation timed out",
        r"Too many open files",
        r"Resource temporarily unavailable",
    ),
    _signature(
        "toolchain-refused",
        r"\bptoas compilation failed\b",
        r"\bSimKernel\] Compilation failed",
        r"\bSimKernel compilation failed\b",
        r"incompatible function arguments",
    ),
    _signature(
        "device",
        r"\bfailed(?: with)?(?: (?:error )?code)?:? *=? *(?P<code>[125]07\d{3})\b",
        r"(?i:\b(?:error)?code(?: is)?)[:= ]+(?P<code>[125]07\d{3})\b",
    ),
    _signature("host-resources", r"^(?:E +)?(?:OSError|BlockingIOError|ConnectionError|PermissionError)\b"),
)


def ranked(own: Sequence[Signature]) -> list[Signature]:
    """Return the signatures of a profile and those of every repository, in the order of precedence."""
    first = [each for each in own if not each.last]
    return [*first, *MACHINE, *(each for each in own if each.last)]


def rule_names(own: Sequence[Signature]) -> list[str]:
    """Return what each of `ranked` is called: by its place in the profile, or as one of every repository."""
    named = list(zip(own, own_rule_names(own), strict=True))
    first = [name for each, name in named if not each.last]
    return [*first, *(f"built in: {each.kind}" for each in MACHINE), *(name for each, name in named if each.last)]


def own_rule_names(own: Sequence[Signature]) -> list[str]:
    """Return what each signature of a profile is called: its place, and its kind."""
    return [f"signatures.{number}: {each.kind}" for number, each in enumerate(own)]
