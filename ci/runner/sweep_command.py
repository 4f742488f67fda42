"""What a scheduled sweep becomes: one `farm sweep`, as words, and what is read from the files it leaves.

Its files are in a directory of its job. So the service that executes the job again after a crash finds them, continues
where they end, and repeats no trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ci.config.repository import RepositorySection
from ci.config.target import kernel_of
from ci.queue.options import JobOptions, SweepTerms
from farm.model.sweep import SweepRecord
from farm.report.sweep import markdown
from farm.report.sweep.write import JSON
from farm.sweep.journal import PLAN


def command(
    farm: Sequence[str], repository: RepositorySection, options: JobOptions, address: str, out: Path
) -> list[str]:
    """The command that starts the sweep, or resumes the one in `out`."""
    terms = options.sweep or SweepTerms(seeds=3, repeats=2, budget_minutes=240)
    words = [*farm, "sweep", "--out", str(out), "--budget-minutes", f"{terms.budget_minutes:g}"]
    if address:
        words += ["--address", address]
    if any(out.glob(f"*/{PLAN}")):
        return [*words, "--resume", "latest"]
    target = kernel_of(repository.judged_by(), *options.targets[:1] or [""])
    words += [target.kernel, "--platform", target.platform]
    words += ["--seeds", str(terms.seeds), "--repeats", str(terms.repeats)]
    words += ["--devices", str(options.devices or "all")]
    for case in options.cases or target.cases:
        words += ["--case", case]
    return words


def record_in(out: Path) -> SweepRecord | None:
    """The record of the newest sweep in `out`; None where it has none, or none that can be read."""
    written = sorted(out.glob(f"*/{JSON}"))
    try:
        return SweepRecord.model_validate_json(written[-1].read_bytes()) if written else None
    except (OSError, ValidationError):
        return None


def report(record: SweepRecord) -> str:
    """The sweep's page as Markdown for the forge, which does not have its picture."""
    return markdown.page(record, None)
