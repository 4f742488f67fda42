"""What PyPTO and the device's runtime raise, as one line a person can act on. The full text stays in the log."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

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

# "Record function small failed: NameError: name 'rows' is not defined", then the place and the lines around it.
_RECORDED = re.compile(
    r"Record function \S+ failed: (?P<type>[A-Z]\w*(?:Error|Exception|Exit|Iteration)): (?P<words>.+)"
)
_PLACE = re.compile(r"ERROR (?P<file>\S[^\n]*?):(?P<line>\d+):\d+:")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TOOLCHAIN = {"pypto", "torch", "torch_npu"}  # packages: what they raise is in their words, and about their own files

# Codes of the Ascend runtime: 107xxx wrong use or a lost context, 207xxx resources, 507xxx a fault on the chip.
_RUNTIME_CODE = re.compile(r"(?<!\d)([125]07\d{3})(?!\d)")

# PyPTO's documentation gives F7xxxx and F8xxxx to MACHINE, its part that launches; the rest is the compiler's.
_MACHINE_CODE = re.compile(r"F[78][0-9A-F]{4}")


def compile_error(error: BaseException, log: str) -> CompileError:
    """The compiler's complaint, from `error` and, where that says only that a pass failed, from the native `log`."""
    mistake = _python_mistake(error) or _logged_mistake(log)
    if mistake is not None:
        return mistake
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


def _python_mistake(error: BaseException) -> CompileError | None:
    """A mistake in the kernel's own Python, which PyPTO met while it traced and then wrapped in an error of its own.

    It is an ordinary exception, raised by a line that is not the toolchain's. Its code is its type.
    """
    for link in reversed(_chain(error)):
        if type(link).__module__ != "builtins" or _CODE.search(str(link)) or in_compile_thread(link):
            continue
        frames = [each for each in traceback.extract_tb(link.__traceback__) if not each.filename.startswith("<")]
        if frames and not _TOOLCHAIN & set(Path(frames[-1].filename).parts):
            last = frames[-1]
            return _at(type(link).__name__, str(link), last.filename, last.lineno or 0, last.line or "")
    return None


def _logged_mistake(log: str) -> CompileError | None:
    """The same, where only the log still has it."""
    plain = _ANSI.sub("", log)
    recorded, place = _RECORDED.search(plain), _PLACE.search(plain)
    if recorded is None or _CODE.search(recorded["words"]):
        return None
    if place is None:
        return CompileError(recorded["type"], "", _shortened(recorded["words"]))
    shown = re.search(rf"^{place['line']} \|\s*(.*)$", plain, re.MULTILINE)
    return _at(recorded["type"], recorded["words"], place["file"], int(place["line"]), shown[1] if shown else "")


def _at(kind: str, words: str, file: str, line: int, text: str) -> CompileError:
    shown = f": {_shortened(text)}" if text.strip() else ""
    return CompileError(kind, "", f"{_shortened(words)} ({file}:{line}{shown})")


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

    `printed` is what was printed until then; with the error's own text it shows what came before.
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
