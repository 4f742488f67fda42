"""Goes on with a bisect that ended early: commits that have an answer are not tested again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from farm.errors import InfrastructureError, UsageError
from farm.execution.resolved_run import ResolvedRun
from farm.model.bisect import Answer, BisectRecord, CommitOutcome, CommitRecord, CommitTestRecord
from farm.report.bisect.write import JSON
from farm.store import named_directory
from jobs.cache import source_digest
from jobs.records import TrialStatus

_EARLY = (CommitOutcome.INTERRUPTED, CommitOutcome.ERRORED)


def load(out: Path, name: str) -> BisectRecord:
    """Return the record of the bisect `name` below `out`: an id, the beginning of one, or `latest`.

    Raises:
        UsageError: There is no such bisect, or it has come to its end.
        InfrastructureError: Its record cannot be read.
    """
    path = named_directory.find(out, name, JSON, "bisect") / JSON
    try:
        record = BisectRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InfrastructureError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if record.outcome not in _EARLY:
        raise UsageError(f"bisect {record.bisect_id} has {record.outcome.value}; nothing of it is missing")
    return record


def basis(resolved: ResolvedRun) -> str:
    """Return a digest of what judges every commit alike: the installed kernel's sources and the toolchain."""
    parts = [source_digest(resolved.kernel.sources()), sorted(resolved.platform.toolchain().items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def answered(record: BisectRecord, candidates: Sequence[CommitRecord], judged_by: str) -> list[CommitTestRecord]:
    """Return the tests of `record` that stand for a bisect over `candidates` judged by `judged_by`, a `basis`.

    A commit that was passed over through a fault of a device or of the farm is tested again.

    Raises:
        UsageError: Kernel, toolchain or commits are not those of `record`, so that its answers are of something else.
    """
    if record.basis != judged_by:
        changed = "the installed kernel or the toolchain has changed since"
        raise UsageError(f"bisect {record.bisect_id} cannot go on: {changed}; begin a new one")
    if [each.commit for each in record.candidates] != [each.commit for each in candidates]:
        raise UsageError(f"bisect {record.bisect_id} cannot go on: its commits are not the same; begin a new one")
    return [test for test in record.probes if test.answer is not Answer.SKIPPED or not _lost(test)]


def _lost(test: CommitTestRecord) -> bool:
    return any(trial.status is TrialStatus.ERRORED for trial in test.trials)
