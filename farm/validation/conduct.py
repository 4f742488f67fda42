"""The way of every run, of a kernel's cases and of a suite's files alike: measure, judge, report; always a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from farm.errors import FarmError
from farm.execution.observer import Observer
from farm.execution.session import Session, SessionOptions
from farm.model.device_health import HealthEvent
from farm.model.run import GateRecord, RunRecord, Verdict
from farm.process import crash_log
from farm.report.write import write_reports
from farm.store.run_store import RunExistsError
from farm.timestamps import new_id
from kernel.errors import KernelLayerError

INTERRUPTED = "interrupted"  # reason of a run that a person ended, who waits for nothing more

Judgement = tuple[Verdict, str, list[GateRecord]]


class RunUnderWay(Protocol):
    """What is known of a run while it goes on."""

    id: str
    directory: Path
    observer: Observer

    @property
    def held(self) -> Session:
        """The leased devices, and the store."""
        ...

    def record(self, verdict: Verdict | None, reason: str, gates: list[GateRecord]) -> RunRecord:
        """Return the run as it stands now."""
        ...

    def cleared(self) -> list[HealthEvent]:
        """Return what speaks for devices that this run had reason to doubt."""
        ...


def make_directory(options: SessionOptions) -> tuple[str, Path]:
    """Make the directory of a new run; return the run's id and the directory. Raises `RunExistsError`."""
    run_id = options.run_id or new_id()
    directory = (options.out / run_id).resolve()
    try:
        (directory / "logs").mkdir(parents=True)
    except FileExistsError:
        raise RunExistsError(run_id) from None
    return run_id, directory


def conduct(run: RunUnderWay, measure: Callable[[], None], judge: Callable[[str], Judgement]) -> RunRecord:
    """Measure, judge and report; whatever happens meanwhile, return the finished record.

    Args:
        run: The run, whose devices are leased.
        measure: Makes every trial.
        judge: Turns what was measured into the verdict; its argument is why measuring stopped early, or "".
    """
    run.held.store.begin(run.record(None, "running", []))
    stopped = _stopped(measure, run.directory)
    judgement: list[Judgement] = []
    failed = _stopped(lambda: judgement.append(judge(stopped)), run.directory)
    stopped = stopped or failed
    verdict, reason, gates = judgement[0] if judgement else (Verdict.ERRORED, stopped, [])
    if gates or not stopped:
        run.observer.judged(gates)
    record = run.record(verdict, reason, gates)
    patience_s = run.held.store_wait_s if stopped != INTERRUPTED else 0.0
    run.held.store.conclude(
        record, run.cleared(), lambda: write_reports(record, run.directory), run.directory, patience_s
    )
    return record


def _stopped(work: Callable[[], None], directory: Path) -> str:
    """Why `work` did not come to its end, in one line; "" where it did."""
    try:
        work()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (FarmError, KernelLayerError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - kept in the log; the run must end with a record all the same
        return crash_log.kept(error, directory / "logs")
    return ""
