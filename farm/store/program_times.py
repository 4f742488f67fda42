"""What a program took in earlier runs: a compiled program is known by its fingerprint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Engine, func, select

from farm.model.program_time import ProgramTime
from farm.model.run import Verdict
from farm.store import row_mapping
from farm.store.engine import transaction
from farm.store.tables import RUN, TRIAL
from jobs.records import TrialStatus
from kernel.clock import Clock

_RUNS = 10  # of one program that are looked through for one with the same toolchain


def program_times(
    engine: Engine,
    kernel: str,
    platform: str,
    clock: Clock,
    toolchain: Mapping[str, str],
    programs: Collection[tuple[str, str]],
) -> dict[str, list[ProgramTime]]:
    """Return case → what the newest run that passed with the same toolchain measured of each program.

    Only runs that passed count: what a run claimed that was not believed must not be held against an honest one.

    Args:
        engine: The store's database.
        kernel: As the run's record names it.
        platform: Its name.
        clock: Of the times.
        toolchain: Of the run that asks.
        programs: (case, fingerprint) of what it has built or run.

    Raises:
        StoreError: The store cannot be read.
    """
    found: dict[str, list[ProgramTime]] = defaultdict(list)
    with transaction(engine, "read") as connection:
        for case, fingerprint in sorted(programs):
            wanted = (
                select(RUN.c.id, func.min(TRIAL.c.wall_us).label("us"))
                .join(RUN, RUN.c.id == TRIAL.c.run_id)
                .where(TRIAL.c.fingerprint == fingerprint, TRIAL.c.case == case, TRIAL.c.clock == clock.value)
                .where(TRIAL.c.status == TrialStatus.OK.value, TRIAL.c.wall_us.is_not(None))
                .where(RUN.c.kernel == kernel, RUN.c.platform == platform, RUN.c.verdict == Verdict.PASSED.value)
                .group_by(RUN.c.id, RUN.c.started_at)
                .order_by(RUN.c.started_at.desc(), RUN.c.id.desc())
                .limit(_RUNS)
            )
            for run_id, us in connection.execute(wanted).all():
                row = connection.execute(select(RUN).where(RUN.c.id == run_id)).one()
                if row_mapping.record(row, []).toolchain == dict(toolchain):
                    found[case].append(ProgramTime(fingerprint, float(us), f"run {run_id}"))
                    break
    return dict(found)
