"""What PyPTO and the device's runtime raise, as one line a person can act on. The full text stays in the log."""

from __future__ import annotations

import re

from kernel.errors import CompileError, DeviceError

_NO_CODE = "unknown"
_SUMMARY_CHARACTERS = 300

# "Errcode: F21004!" in front of what the compiler's own checks say, "ErrCode: F12" in the simulator's.
_CODE = re.compile(r"err_?code:?\s*(F[0-9A-F]+)\W*", re.IGNORECASE)
_STACK = re.compile(r"^\s*(#\d+|/\S+\.so|\S+\.so\(|at |File \"|\S+\.(cpp|h):\d+|libtile_fwk|func )")
_OPERATION = re.compile(r"(?:operation|operator|opcode|op)\s*[:=\[]\s*\[?([A-Za-z_][A-Za-z0-9_]*)", re.IGNORECASE)

# Codes of the Ascend runtime: 107xxx wrong use or a lost context, 207xxx resources, 507xxx a fault on the chip.
_RUNTIME_CODE = re.compile(r"(?<!\d)([125]07\d{3})(?!\d)")


def compile_error(error: BaseException, log: str) -> CompileError:
    """The compiler's complaint, from the exception and, where that says only that a pass failed, from the log."""
    text = f"{_chain_text(error)}\n{log}"
    code = _CODE.search(text)
    operation = _OPERATION.search(text)
    return CompileError(
        code=code[1].upper() if code else _NO_CODE,
        operation=operation[1] if operation else "",
        summary=_first_sentence(text, code),
    )


def device_error(error: BaseException) -> DeviceError | None:
    """The runtime's error code and its line, or None where `error` carries no such code."""
    text = _chain_text(error)
    found = _RUNTIME_CODE.search(text)
    if found is None:
        return None
    line = next(line for line in text.splitlines() if found[1] in line)
    return DeviceError(found[1], _shortened(line))


def is_ours(error: BaseException) -> bool:
    """Whether the machine, not the kernel, is at the bottom of `error`: out of memory, disk or file descriptors."""
    return any(isinstance(link, MemoryError | OSError) for link in _chain(error))


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _chain_text(error: BaseException) -> str:
    """Messages from the innermost exception outwards: the first one knows most."""
    return "\n".join(str(link) for link in reversed(_chain(error)))


def _first_sentence(text: str, code: re.Match[str] | None) -> str:
    """The first line after the code that is neither empty nor part of a native stack."""
    candidates = text[code.end() :] if code else text
    for line in candidates.splitlines():
        if line.strip() and not _STACK.match(line):
            return _shortened(line)
    return "no message; see the log"


def _shortened(line: str) -> str:
    joined = " ".join(line.split())
    return joined if len(joined) <= _SUMMARY_CHARACTERS else joined[: _SUMMARY_CHARACTERS - 1] + "…"
