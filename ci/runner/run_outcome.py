"""The progress of a run and its outcome, as the service reports them. Pure, but for reading the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, func, select

from ci.forge.protocol import Annotation
from ci.queue import target_texts
from ci.queue.job_targets import TargetRun
from ci.queue.outcome import JobOutcome
from ci.runner import sweep_command
from farm.errors import UnknownRunError
from farm.model.run import RunRecord, Verdict
from farm.model.sweep import SweepRecord
from farm.report.run.markdown import MarkdownReport, code, prose
from farm.store.engine import transaction
from farm.store.run_store import Store
from farm.store.tables import RUN, TRIAL
from farm.text import counted, one_line

_TAIL_BYTES = 16_384
_LONGEST_STAGE = 200  # characters
HEADING = "=== run "  # begins each run in a job's log
_INTERRUPTED = "interrupted"  # how a run's reason begins where it was ended and not judged


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is."""

    began: bool  # it has its devices
    measured: int  # trials; how many there will be only the run knows, which may add some

    def stage(self, log: Path) -> str:
        """What the run does now, one line.

        Until it has its devices only its own process knows: its newest line of `log` names what it prepares, or its
        place in the queue for devices.
        """
        if not self.began:
            return one_line(last_line(log), _LONGEST_STAGE) or "starts"
        if not self.measured:
            return "builds the programs"
        return f"{counted(self.measured, 'trial')} measured"


def progress(engine: Engine, run_id: str) -> RunProgress:
    """How far the run is by what it has made durable."""
    with transaction(engine, "read") as connection:
        began = connection.execute(select(RUN.c.id).where(RUN.c.id == run_id)).first() is not None
        counted = select(func.count()).select_from(TRIAL).where(TRIAL.c.run_id == run_id, TRIAL.c.status == "ok")
        return RunProgress(began, int(connection.execute(counted).scalar() or 0))


def live_text(run_id: str, last_line: str) -> str:
    """The Markdown of a running check."""
    said = f"\n\n{prose(last_line)}" if last_line else ""
    return f"Run {code(run_id)} is under way.{said}"


def record_of(engine: Engine, run_id: str) -> RunRecord | None:
    """The run's record, None where it never began. A run whose process is gone without a verdict gets one here."""
    try:
        return Store(engine).get(run_id)
    except UnknownRunError:
        return None


def records_of(engine: Engine, run_ids: Sequence[str]) -> dict[str, RunRecord]:
    """Return the records of those runs that began, by id."""
    found = {run_id: record_of(engine, run_id) for run_id in run_ids if run_id}
    return {run_id: record for run_id, record in found.items() if record is not None}


def without_a_run(documents_only: bool) -> JobOutcome:
    """Return the outcome of a job that has nothing to run: a pass only where all that it changes are documents."""
    if documents_only:
        return JobOutcome(Verdict.PASSED, "it changes documents alone, so nothing was run")
    return JobOutcome(Verdict.ERRORED, "none of the configured targets is in this commit, so nothing was run")


def was_interrupted(record: RunRecord | SweepRecord) -> bool:
    """Whether somebody ended the run before it could be judged."""
    return record.verdict is Verdict.ERRORED and record.reason.startswith(_INTERRUPTED)


def judged(
    runs: Sequence[TargetRun],
    records: Mapping[str, RunRecord],
    notes: str,
    annotations: Sequence[Annotation],
    site: str,
) -> JobOutcome:
    """What the targets of a job say together.

    Args:
        runs: The targets, all of them over.
        records: Of the runs that began, by id.
        notes: Markdown to come before their reports.
        annotations: Remarks on lines of the commit.
        site: The address of the service's pages.
    """
    reports = [_report(each, records.get(each.run_id), len(runs)) for each in target_texts.ranked(runs)]
    table = [_summary(runs, site)] if len(runs) != 1 else []
    report = "\n\n".join(part for part in (*table, notes, *reports) if part)
    verdict = target_texts.gravest(runs)  # nothing concluded is never a pass
    return JobOutcome(verdict, target_texts.reason(runs), report, tuple(annotations))


def _summary(runs: Sequence[TargetRun], site: str) -> str:
    head = f"**{target_texts.gravest(runs).value}**: {prose(target_texts.reason(runs))}"
    return f"{head}\n\n{target_texts.table(runs, site)}"


def _report(run: TargetRun, record: RunRecord | None, of: int) -> str:
    """The report of one target, or the one line on it where it has none."""
    head = f"# {code(run.name)}\n\n" if of > 1 else ""
    if record is None:
        return f"{head}**{(run.verdict or Verdict.ERRORED).value}**: {prose(run.reason)}"
    return head + MarkdownReport().write(record)


def judged_sweep(record: SweepRecord) -> JobOutcome:
    """What a finished sweep says."""
    verdict = record.verdict or Verdict.ERRORED
    return JobOutcome(verdict, record.reason, sweep_command.report(record))


def complaint(log: Path) -> str:
    """Return what the newest run in a log printed before it ended without its devices, "" for nothing."""
    newest = tail(log).rpartition(HEADING)[2]
    told = [line.removeprefix("farm: ") for line in newest.splitlines() if line.startswith("farm: ")]
    return told[-1] if told else ""


def last_line(log: Path) -> str:
    """The last line that the newest run in a log has printed, "" where it has printed none."""
    lines = tail(log).rpartition(HEADING)[2].splitlines()[1:]  # the first ends the heading
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def tail(log: Path) -> str:
    """The end of a log."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
