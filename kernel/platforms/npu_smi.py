"""What the driver's own tool, `npu-smi`, says of a chip: its health, temperature, memory and processes.

Thin on purpose: a few calls, each bounded in time, read line by line. The formats are those of Huawei's manuals for the
A2 and A3 servers (`npu-smi info -m`, and `npu-smi info -t health|temp|usages|proc-mem -i NPU -c CHIP`, drivers 23.0 to
26.1) and of answers other projects keep as test data. **It has not been run on hardware yet.**

A chip has two addresses: `npu-smi` wants the card ("NPU ID") and the chip on it ("Chip ID"), everything else in the
farm the physical number ("Chip Phy-ID"). `npu-smi info -m` translates.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from kernel.errors import KernelLayerError

TOOL = "npu-smi"

# It answers within about a second, on a loaded host within a few; on a wedged driver it never does.
TIMEOUT_S = 10.0
_KILL_S = 1.0  # what is stuck in the driver does not even die of a signal, and must not take us along

# "Warning" is the manuals' lowest grade, given for what does not stop a chip from computing. "UNKNOWN" is what they
# print for a chip that does not exist or did not start.
_FIT = ("OK", "Warning")
_UNFIT = ("Alarm", "Critical", "UNKNOWN")

_SHOWN_CHARACTERS = 120

# An NPU of the A3 servers carries two dies; where it carries one, this errs to fewer witnesses.
_CHIPS_PER_CARD = 2


# Whether a user who may not ask counts: "auto" leaves the device to its canary, "require" calls it unfit, "off" never
# asks at all.
SWITCH = "FARM_NPU_SMI"
_SWITCHES = ("auto", "require", "off")

# What the driver says to a user it does not answer. On some hosts only root may ask, and then the interface does not
# even start (-8005); root itself gets that answer where the driver is broken.
_DENIED = re.compile(r"permission denied|not permitted|(?:must|only).{0,40}\broot\b|ret is -8002", re.IGNORECASE)
_NOT_STARTED = "dcmi module initialize failed"

# What stands where a card has no serial number, or this user or container may not see it.
_NO_SERIAL = re.compile(r"(?:NA|N/A|-|none|unknown|[0 .,]*)", re.IGNORECASE)


class NpuSmiError(KernelLayerError):
    """`npu-smi` gave no answer, or none that can be read."""


class NpuSmiDeniedError(NpuSmiError):
    """`npu-smi` does not answer this user. Nothing is known of the device."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"this user may not ask {TOOL}: {answer}")


@dataclass(frozen=True, slots=True)
class Chip:
    """Where a chip is, as `npu-smi` counts."""

    card: int  # "NPU ID"
    chip: int  # "Chip ID", on that card


@dataclass(frozen=True, slots=True)
class Reading:
    """What `npu-smi` says of one chip."""

    healthy: bool | None  # None where there is no `npu-smi` to ask
    detail: str  # one line
    status: str = ""  # "OK", "Warning", "Alarm", "Critical" or "UNKNOWN"
    temperature_c: int | None = None  # None where this chip does not tell, here and below
    hbm_percent: int | None = None
    processes: int | None = None


def read(device: int) -> Reading:
    """What `npu-smi` says of physical chip `device`. One that does not answer, or not legibly, is not healthy.

    That this user may not ask says nothing of the chip; see `SWITCH`.

    Takes at most a few times `TIMEOUT_S`.
    """
    switch = os.environ.get(SWITCH, "") or "auto"
    if switch not in _SWITCHES:
        return Reading(False, f"{SWITCH} is '{switch}'; use {', '.join(_SWITCHES)}")
    if switch == "off":
        return Reading(None, f"{TOOL} is not asked ({SWITCH}=off)")
    if shutil.which(TOOL) is None:
        return Reading(None, f"no {TOOL} here")
    try:
        where = locate(device)
        status = _status(_about(where, "health"))
        temperature_c = _number(_optional(where, "temp"), r"(?:NPU )?Temperature ?\(C\)")
        hbm_percent = _number(_optional(where, "usages"), r"HBM Usage Rate ?\(%\)")
        processes = _processes(_optional(where, "proc-mem"))
    except NpuSmiDeniedError as error:
        return Reading(False if switch == "require" else None, str(error))
    except NpuSmiError as error:
        return Reading(False, str(error))
    told = [
        f"{TOOL}: {status}",
        f"{temperature_c} °C" if temperature_c is not None else "",
        f"HBM {hbm_percent} % used" if hbm_percent is not None else "",
        f"{processes} processes" if processes is not None else "",
    ]
    return Reading(status in _FIT, ", ".join(filter(None, told)), status, temperature_c, hbm_percent, processes)


def locate(device: int) -> Chip:
    """Where physical chip `device` is. Raises `NpuSmiError` where `npu-smi` does not tell."""
    chips = _chips(_ask("info", "-m"))
    if device not in chips:
        raise NpuSmiError(f"{TOOL} lists no chip {device}; it has {', '.join(map(str, sorted(chips)))}")
    return chips[device]


def card(device: int) -> str:
    """The card that carries physical chip `device`: its serial number, else the driver's number of the NPU.

    Without the driver's word, two chips to an NPU.
    """
    try:
        where = locate(device)
        return _board_serial(where) or str(where.card)
    except NpuSmiError:
        return str(device // _CHIPS_PER_CARD)


def identity(device: int) -> str:
    """Return the identity of physical chip `device`, the same in every slot; "" where it is unknown.

    The card's serial number with the chip's number on it ("serial 033EFG10N4000028 chip 0"); else the number of the die
    ("die 42FC1404 20A06408").
    """
    if os.environ.get(SWITCH, "") == "off" or shutil.which(TOOL) is None:
        return ""
    try:
        where = locate(device)
        serial = _board_serial(where)
        if serial:
            return f"serial {serial} chip {where.chip}"
        die = _known(_optional(where, "board"), r"V?Die ID")
        return f"die {die}" if die else ""
    except NpuSmiError:
        return ""


def _board_serial(where: Chip) -> str:
    return _known(_run(["info", "-t", "board", "-i", str(where.card)])[1], "Serial Number")


def _known(answer: str, label: str) -> str:
    """What stands behind `label`, where it is more than a way to say that there is nothing."""
    found = re.search(rf"^[ \t]*{label}[ \t]*:[ \t]*(.*)$", answer, re.MULTILINE)
    text = " ".join(found[1].split()) if found else ""  # of this line alone: the next one is another field
    return "" if _NO_SERIAL.fullmatch(text) else text


def _about(where: Chip, topic: str) -> str:
    return _ask("info", "-t", topic, "-i", str(where.card), "-c", str(where.chip))


def _optional(where: Chip, topic: str) -> str:
    """The answer on a topic that not every chip has; "" where this one has not. Raises only where it hangs."""
    return _run(["info", "-t", topic, "-i", str(where.card), "-c", str(where.chip)])[1]


def _ask(*arguments: str) -> str:
    code, answer = _run(arguments)
    if code != 0 and (_DENIED.search(answer) or (_NOT_STARTED in answer and os.geteuid() != 0)):
        raise NpuSmiDeniedError(_shown(answer))
    if code != 0:
        raise NpuSmiError(f"`{TOOL} {' '.join(arguments)}` ended with exit code {code}: {_shown(answer)}")
    return answer


def _run(arguments: Sequence[str]) -> tuple[int, str]:
    """Exit code and output. Raises `NpuSmiError` where it does not start or does not end in time."""
    try:
        # A session of its own, so that whatever it starts can be ended with it.
        process = subprocess.Popen(
            [TOOL, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except PermissionError as error:
        raise NpuSmiDeniedError(f"it does not start ({error.strerror})") from error
    except OSError as error:
        raise NpuSmiError(f"{TOOL} does not start: {error.strerror}") from error
    try:
        answer, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_S)
        raise NpuSmiError(f"`{TOOL} {' '.join(arguments)}` gave no answer within {TIMEOUT_S:g} s") from None
    return process.returncode, answer


def _chips(answer: str) -> dict[int, Chip]:
    """`npu-smi info -m` as physical chip → where it is. Controllers ("Mcu") have no number and are left out.

    Columns come and go with the driver's version, so they are found by their headings. Without "Chip Phy-ID" the
    logical number stands in for it: the two are equal unless somebody has remapped the chips.
    """
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("NPU ID")), None)
    headings = re.split(r"\s{2,}", lines[start]) if start is not None else []
    number = next((name for name in ("Chip Phy-ID", "Chip Logic ID") if name in headings), "")
    if start is None or not number or "Chip ID" not in headings:
        raise NpuSmiError(f"`{TOOL} info -m` gave no list of chips: {_shown(answer)}")
    columns = [headings.index(name) for name in (number, "NPU ID", "Chip ID")]
    found = {}
    for line in lines[start + 1 :]:
        cells = line.split()
        told = [cells[column] for column in columns if column < len(cells)]
        if len(told) == len(columns) and all(cell.isdecimal() for cell in told):
            device, card, chip = map(int, told)
            found[device] = Chip(card, chip)
    if not found:
        raise NpuSmiError(f"`{TOOL} info -m` lists no chip: {_shown(answer)}")
    return found


def _status(answer: str) -> str:
    """The worst grade the answer holds: some versions tell of the card's controller as well."""
    grades = re.findall(r"^\s*Health(?: Status)?\s*:\s*(\w+)\s*$", answer, re.MULTILINE)
    known = {grade.upper(): grade for grade in (*_FIT, *_UNFIT)}
    if not grades or any(grade.upper() not in known for grade in grades):
        raise NpuSmiError(f"{TOOL} tells no health: {_shown(answer)}")
    severity = list(known)
    return known[max((grade.upper() for grade in grades), key=severity.index)]


def _number(answer: str, label: str) -> int | None:
    found = re.search(rf"^\s*{label}\s*:\s*(\d+)\s*$", answer, re.MULTILINE)
    return int(found[1]) if found else None


def _processes(answer: str) -> int | None:
    if "No process in device" in answer:
        return 0
    return len(re.findall(r"\bProcess id\s*:\s*\d+", answer)) or None


def _shown(answer: str) -> str:
    """An answer nobody expected, as one short line."""
    line = " ".join(answer.split())
    return f"'{line[:_SHOWN_CHARACTERS]}'" if line else "no output"
