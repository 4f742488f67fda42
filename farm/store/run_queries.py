"""Lists of runs: chosen by what a person remembers of a run, in pages that stay put while runs are added."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select

from farm.model.run import Verdict
from farm.store import row_mapping
from farm.store.engine import transaction
from farm.store.row_mapping import RunSummary
from farm.store.tables import RUN

_LAST = "z"  # sorts behind whatever follows in a run's id or a commit, in every collation


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What the runs of a list have in common; "" for whatever."""

    kernel: str = ""
    platform: str = ""
    commit: str = ""
    verdict: str = ""  # of `farm.model.run.Verdict`, or "running"
    also: tuple[ColumnElement[bool], ...] = ()  # whatever else, in SQL on the columns of RUN

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter in SQL."""
        equal = {"kernel": self.kernel, "platform": self.platform, "commit": self.commit}
        found = [RUN.c[name] == value for name, value in equal.items() if value]
        if self.verdict:
            found.append(RUN.c.verdict.is_(None) if self.verdict == "running" else RUN.c.verdict == self.verdict)
        return [*found, *self.also]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ends: the moment and the id of its last run."""

    started_at: str
    run_id: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, the one started last first."""

    runs: list[RunSummary]
    next: Position | None  # what the next page comes after; None on the last one


def page(engine: Engine, chosen: RunFilter, limit: int, after: Position | None = None) -> RunPage:
    """At most `limit` runs of the filter that come `after`. Have `Store.settle` called first."""
    query = select(RUN).where(*chosen.conditions())
    if after is not None:
        older = and_(RUN.c.started_at == after.started_at, RUN.c.id < after.run_id)
        query = query.where(RUN.c.started_at <= after.started_at, or_(RUN.c.started_at < after.started_at, older))
    query = query.order_by(RUN.c.started_at.desc(), RUN.c.id.desc()).limit(limit + 1)
    with transaction(engine, "read") as connection:
        found = [row_mapping.summary(row_mapping.record(row, [])) for row in connection.execute(query)]
    shown = found[:limit]
    last = Position(shown[-1].started_at, shown[-1].run_id) if len(found) > limit else None
    return RunPage(shown, last)


def kernels(engine: Engine) -> list[tuple[str, str]]:
    """Every kernel with every platform it was run on, in that order."""
    query = select(RUN.c.kernel, RUN.c.platform).distinct().order_by(RUN.c.kernel, RUN.c.platform)
    with transaction(engine, "read") as connection:
        return [(str(row.kernel), str(row.platform)) for row in connection.execute(query)]


def newest_passed(engine: Engine, commit: str) -> dict[str, str]:
    """Each commit that begins so and has a run that passed → the newest of those runs; edited trees are no commits."""
    mine = (begins(RUN.c.commit, commit), RUN.c.verdict == Verdict.PASSED.value, ~RUN.c.commit.endswith("-dirty"))
    query = select(RUN.c.commit, RUN.c.id).where(*mine).order_by(RUN.c.started_at, RUN.c.id)
    with transaction(engine, "read") as connection:
        return {str(row.commit): str(row.id) for row in connection.execute(query)}


def begins(column: ColumnElement[str], start: str) -> ColumnElement[bool]:
    """Text that begins with `start`: a range, which an index answers and LIKE does not, and then exactly."""
    return and_(column.between(start, start + _LAST), func.substr(column, 1, len(start)) == start)
