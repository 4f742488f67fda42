"""Settles a run that a person knows to be dead, where no process of this host could know it."""

from __future__ import annotations

from sqlalchemy import select

from farm.process import identity
from farm.store.engine import transaction
from farm.store.run_store import RunningError, Store, VerdictExistsError, resolve
from farm.store.tables import RUN


def settle(store: Store, run_id: str, who: str) -> str:
    """Settle the run that is under way and whose id is or begins with `run_id` as interrupted; return its full id.

    `who` is noted as its reason. Raises `UnknownRunError`, `AmbiguousRunError`, `VerdictExistsError`, and
    `RunningError` where the run's process can be seen from here and lives.
    """
    store.settle()
    with transaction(store.engine, "read") as connection:
        full = resolve(connection, run_id)
        row = connection.execute(select(RUN.c.verdict, RUN.c.owner).where(RUN.c.id == full)).one()
    if row.verdict is not None:
        raise VerdictExistsError(full, row.verdict)
    owner = identity.ProcessIdentity.load(row.owner)
    if owner.visible():
        raise RunningError(full, owner)
    store.interrupt(full, f"interrupted: settled by {who}")
    return full
