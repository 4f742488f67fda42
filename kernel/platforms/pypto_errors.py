"""What PyPTO and the device's runtime raise, as one line a person can act on. The full text stays in the log."""

from __future__ import annotations

import re

from kernel.errors import CompileError, DeviceError

_NO_CODE = "unknown"
_SUMMARY_CHARACTERS = 300

# "Errcode: F21004!" in front of what the compiler's own checks say.
_CODE = re.compile(r"err_?code:?\s*(F[0-9A-F]+)\W*", re.IGNORECASE)
_CODE_POSITION = re.compile(r",? func \w+, file \S+, line \d+")
_STACK_FRAME = re.compile(r"\S+(\.so|\.so\.\d+|\+\+\.so\S*)?\(.*\) \[0x[0-9a-f]+\]")
_STACK_OPERATION = re.compile(r"npu::tile_fwk::(?:\w+::)*(\w+)\([^\n]*\n(?:pypto_impl|\S*pypto_impl)")

# "[ERROR] PYPTO(30617):… [file:line][PASS]:[OoOScheduleBase.Operation]:Alloc tensor [226] size …"
_LOGGED = re.compile(r"^\[ERROR\] PYPTO\(.*?\]:(?:\[[\w.]+\]:)?(?P<message>.+)$", re.MULTILINE)
_LOGGED_OPERATION = re.compile(r"\bop: (\w+)\[")
_LOGGED_PASS = re.compile(r"Run pass <(\w+)> failed")

# Codes of the Ascend runtime: 107xxx wrong use or a lost context, 207xxx resources, 507xxx a fault on the chip.
_RUNTIME_CODE = re.compile(r"(?<!\d)([125]07\d{3})(?!\d)")

# PyPTO's documentation gives F7xxxx and F8xxxx to MACHINE, its part that launches; the rest is the compiler's.
_MACHINE_CODE = re.compile(r"F[78][0-9A-F]{4}")


def compile_error(error: BaseException, log: str) -> CompileError:
    """The compiler's complaint, from `error` and, where that says only that a pass failed, from the native `log`."""
    text = _chain_text(error)
    found = _CODE.search(text)
    code = found[1].upper() if found else _NO_CODE
    logged = _LOGGED.search(log)
    if in_compile_thread(error) and logged is not None:
        operation, stage = _LOGGED_OPERATION.search(log), _LOGGED_PASS.search(log)
        summary = logged["message"].strip() + (f" (pass {stage[1]})" if stage else "")
        return CompileError(code, operation[1] if operation else "", _shortened(summary))
    operation = _STACK_OPERATION.search(text)
    return CompileError(code, operation[1] if operation else "", _first_line(text[found.end() :] if found else text))


def in_compile_thread(error: BaseException) -> bool:
    """Whether `error` comes from PyPTO's native compile thread, and not from recording the program before it."""
    return "HostMachine" in _chain_text(error)


def is_compilers(error: BaseException) -> bool:
    """Whether `error` comes from compiling: it has the parser's type or one of the compiler's codes."""
    return any(type(link).__name__.endswith("ParserError") for link in _chain(error)) or bool(
        _CODE.search(_chain_text(error))
    )


def is_machines(code: str) -> bool:
    """Whether a code of PyPTO's is of the part that launches, and not of the compiler."""
    return _MACHINE_CODE.fullmatch(code) is not None


def device_error(error: BaseException, printed: str = "") -> DeviceError:
    """What the device's runtime complains of, with its error code where it gives one.

    `printed` is what was printed until then; with the error's own text it tells what came before.
    """
    text = _chain_text(error)
    history = f"{printed}\n{text}"
    found = _RUNTIME_CODE.search(text)
    if found is None:
        return DeviceError(_NO_CODE, _first_line(text), history)
    line = next(line for line in text.splitlines() if found[1] in line)
    return DeviceError(found[1], _shortened(line), history)


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


def _first_line(text: str) -> str:
    """The first line that is neither empty nor part of a native stack, without its position in PyPTO's sources."""
    for line in text.splitlines():
        if line.strip() and not _STACK_FRAME.match(line.strip()):
            return _shortened(_CODE_POSITION.sub("", line))
    return "no message; see the log"


def _shortened(line: str) -> str:
    joined = " ".join(line.split())
    return joined if len(joined) <= _SUMMARY_CHARACTERS else joined[: _SUMMARY_CHARACTERS - 1] + "…"
