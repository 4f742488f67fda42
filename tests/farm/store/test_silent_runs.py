"""Runs whose process nobody here can see: settled once they have been silent for long, and by a person at any time."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import update

from farm.model.run import Verdict
from farm.process import identity
from farm.store import run_settlement
from farm.store.run_store import SILENT_S, RunningError, Store, VerdictExistsError
from farm.store.tables import RUN
from farm.validation import resume
from tests.farm import samples

ID = samples.running().run_id


def begin(store: Store, silent_s: float | None, **owner: str) -> None:
    """A run whose last sign of life was so long ago, of a process that differs from this one in `owner`."""
    store.begin(samples.running())
    theirs = dataclasses.replace(identity.current(), **owner)  # type: ignore[arg-type]
    heard = None if silent_s is None else RUN.c.heard - silent_s
    with store.engine.begin() as connection:
        connection.execute(update(RUN).values(owner=theirs.dump(), heard=heard))


@pytest.mark.parametrize("owner", [{"host": "another-host"}, {"namespace": "pid:[1]"}])
def test_a_run_that_cannot_be_seen_and_is_silent_is_interrupted_and_can_be_resumed(
    store: Store, owner: dict[str, str]
) -> None:
    begin(store, SILENT_S + 5, **owner)

    record = store.get(ID)

    assert record.verdict is Verdict.ERRORED
    assert record.reason.endswith("gave no sign of life for 10 min")
    resume.require(record)


@pytest.mark.parametrize(
    ("silent_s", "owner"),
    [
        (SILENT_S - 60, {"host": "another-host"}),  # not for long enough
        (None, {"host": "another-host"}),  # of an older farm, which gives no sign of life
        (10 * SILENT_S, {}),  # this very process: it lives, whatever it says
    ],
)
def test_a_run_that_may_still_go_on_is_left_alone(store: Store, silent_s: float | None, owner: dict[str, str]) -> None:
    begin(store, silent_s, **owner)

    assert store.get(ID).verdict is None


def test_a_sign_of_life_counts(store: Store) -> None:
    begin(store, SILENT_S + 5, host="another-host")

    store.hear(ID)

    assert store.get(ID).verdict is None


def test_a_sign_of_life_between_the_look_and_the_verdict_counts(store: Store) -> None:
    begin(store, 0.0, host="another-host")

    assert not store.interrupt(ID, "interrupted: silent", heard=1.0)
    assert store.get(ID).verdict is None


def test_a_person_settles_a_run_of_another_host_at_once(store: Store) -> None:
    begin(store, 0.0, host="another-host")

    assert run_settlement.settle(store, ID[:-2], "ray@rack") == ID

    assert (store.get(ID).verdict, store.get(ID).reason) == (Verdict.ERRORED, "interrupted: settled by ray@rack")
    with pytest.raises(VerdictExistsError):
        run_settlement.settle(store, ID, "ray@rack")


def test_a_run_that_lives_here_is_not_settled(store: Store) -> None:
    begin(store, 0.0)

    with pytest.raises(RunningError, match="end that process first"):
        run_settlement.settle(store, ID, "ray@rack")
    assert store.get(ID).verdict is None
