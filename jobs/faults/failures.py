"""Faults as failure records: whose it is, what kind, and one line for a person. Rules: `jobs.faults.table`."""

from __future__ import annotations

from jobs.faults import diagnosis
from jobs.faults.model import Action, FaultRow
from jobs.records import Failure
from kernel.errors import DeviceError, HarnessError, KernelLayerError, words_of
from kernel.spec import Kernel


def failure(error: BaseException, kernel: Kernel, log: str = "") -> Failure:
    """`error`, raised while `kernel` was built or run, as a record; `log` is where its full text is.

    A device's error is the end of a story that its log begins: where the log shows an earlier fault, that one is
    reported, and `error` named as what followed.
    """
    row = diagnosis.of_exception(error, kernel)
    first = diagnosis.first_fault(error.printed) if isinstance(error, (DeviceError, HarnessError)) else None
    if first is not None and _explains(first.row, row):
        return _record(first.row, f"{first.row.label} (then {row.signal}): {first.line}", log)
    message = words_of(error)
    if not isinstance(error, KernelLayerError):
        message = f"{type(error).__name__}: {message}"
    return _record(row, message, log)


def lost(signal: str, detail: str, printed: str = "", log: str = "") -> Failure:
    """A trial or build whose worker gave no record, as a record.

    `signal` is a kind of the table ("hang") or the name of the exception Ray raised, `detail` all of its text,
    `printed` what the trial had printed until then, `log` where that is. The innermost message wins: a device's error
    in the log says more than the time limit it led to, and both are named.
    """
    row = diagnosis.of_worker(signal, detail)
    told = _told(signal, detail, row)
    first = diagnosis.first_fault(printed)
    if first is None:
        return _record(row, told, log)
    return _record(first.row, f"{first.row.label}: {first.line}; then {told}", log)


def _explains(first: FaultRow, last: FaultRow) -> bool:
    """Whether the log's first fault is another one than the last, and not mere fallout beside a real error."""
    return first.kind != last.kind and (first.action is not Action.FALLOUT or last.action is Action.FALLOUT)


def _told(signal: str, detail: str, row: FaultRow) -> str:
    """Ray's page on a lost worker in one clause."""
    if signal == row.kind:
        return diagnosis.shortened(detail)
    code = diagnosis.exit_code(detail)
    if code is not None:
        named = f" ({row.name})" if row.signal == str(code) else ""
        return f"the worker's process ended with exit code {code}{named}"
    if row.kind == "worker-died":
        return f"{signal}: the worker's process ended without an exit code: a crash, a kill or a lack of memory"
    first = next((line for line in detail.splitlines() if line.strip()), "")
    return f"{signal}: {diagnosis.shortened(first)}" if first else signal


def _record(row: FaultRow, message: str, log: str) -> Failure:
    return Failure(fault=row.fault, kind=row.kind, message=message, log=log)
