"""The newest median of each kernel on the default branch beside its budget, for Prometheus.

Only runs that a push to the default branch asked for count: a pull request that is over its budget is blocked, and must
wake nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, and_, func, select

from ci.queue import job_targets
from ci.store.states import JobKind
from ci.store.tables import JOB
from farm.model.run import RunRecord, Verdict
from farm.store import row_mapping
from farm.store.tables import RUN

_LABELS = ("kernel", "case", "platform")
_JUDGED = (Verdict.PASSED.value, Verdict.FAILED.value)
_US = 1e6


def medians(connection: Connection) -> Iterator[Metric]:
    """Median and budget of each case of each kernel and platform."""
    median = GaugeMetricFamily(
        "farm_kernel_median_seconds", "Median time of the newest judged run of the default branch.", labels=_LABELS
    )
    budget = GaugeMetricFamily(
        "farm_kernel_budget_seconds",
        "What that run was held to: the ceiling, or the best landed time.",
        labels=[*_LABELS, "limit"],
    )
    for record in _newest(connection):
        for case, found in record.median_us.items():
            if found.overall is not None:
                median.add_metric([record.kernel, case, record.platform], found.overall / _US)
        for case, held in record.budget.items():
            for limit, value_us in (("ceiling", held.ceiling_us), ("ratchet", held.ratchet_us)):
                if value_us is not None:
                    budget.add_metric([record.kernel, case, record.platform, limit], value_us / _US)
    yield median
    yield budget


def _newest(connection: Connection) -> list[RunRecord]:
    """The newest judged run of the default branch, for each kernel and platform."""
    made = job_targets.runs_for(JOB.c.kind == JobKind.BASELINE.value)
    mine = and_(RUN.c.verdict.in_(_JUDGED), RUN.c.id.in_(made))
    newest = (
        select(RUN.c.kernel, RUN.c.platform, func.max(RUN.c.started_at).label("at"))
        .where(mine)
        .group_by(RUN.c.kernel, RUN.c.platform)
        .subquery()
    )
    same = and_(RUN.c.kernel == newest.c.kernel, RUN.c.platform == newest.c.platform, RUN.c.started_at == newest.c.at)
    query = select(RUN).join(newest, same).where(mine).order_by(RUN.c.kernel, RUN.c.platform, RUN.c.id)
    found = {(row.kernel, row.platform): row for row in connection.execute(query)}
    return [row_mapping.record(row, []) for row in found.values()]
