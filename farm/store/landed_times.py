"""What the commits of a line took in runs that passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, select

from farm.model.run import RunRecord, Verdict
from farm.store import row_mapping
from farm.store.engine import transaction
from farm.store.tables import RUN
from kernel.clock import Clock


def landed_times(
    engine: Engine,
    kernel: str,
    platform: str,
    clock: Clock,
    toolchain: Mapping[str, str],
    commits: Sequence[str],
) -> list[tuple[str, dict[str, float]]]:
    """Return the medians by case of those of `commits` that were measured, in their order.

    Of each commit its newest run that passed counts, with the same toolchain, of its own program.

    Raises:
        StoreError: The store cannot be read.
    """
    wanted = (
        select(RUN)
        .where(RUN.c.commit.in_(list(commits)), RUN.c.kernel == kernel, RUN.c.platform == platform)
        .where(RUN.c.verdict == Verdict.PASSED.value)
        .order_by(RUN.c.started_at, RUN.c.id)
    )
    newest: dict[str, RunRecord] = {}
    with transaction(engine, "read") as connection:
        for row in connection.execute(wanted):
            record = row_mapping.record(row, [])
            if record.toolchain == dict(toolchain) and record.clock is clock and not record.request.tuning:
                newest[record.commit] = record
    return [(commit, _medians(newest[commit])) for commit in commits if commit in newest]


def _medians(record: RunRecord) -> dict[str, float]:
    return {case: found.overall for case, found in record.median_us.items() if found.overall is not None}
