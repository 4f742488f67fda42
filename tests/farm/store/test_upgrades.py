"""A store of each earlier revision, as an older farm left it, is brought up to date by whoever opens it first."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import farm.store.migrations
from farm.process import identity
from farm.store.run_store import Store
from farm.store.tables import REVISION
from tests.farm import samples

VERSIONS = Path(farm.store.migrations.__file__).parent / "versions"
EARLIER = [each for each in sorted(path.name[1:5] for path in VERSIONS.glob("v0*.py")) if each != REVISION]
RUN_COLUMNS = 'id, verdict, reason, kernel, platform, "commit", started_at, finished_at, owner, record'


def left_by_an_older_farm(path: Path, revision: str) -> None:
    """Tables of `revision` with a run that passed, its trials, and one that is under way in a process elsewhere."""
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    engine = create_engine(f"sqlite:///{path}")
    elsewhere = identity.current().dump().replace(identity.current().host, "another-host")
    ended, going = samples.run(run_id="ended"), samples.running("going")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for run in (ended, going):
            row: dict[str, object] = {
                "id": run.run_id,
                "verdict": run.verdict.value if run.verdict else None,
                "reason": run.reason,
                "kernel": run.kernel,
                "platform": run.platform,
                "commit": run.commit,
                "started_at": run.started_at,
                "finished_at": run.finished_at,
                "owner": elsewhere,
                "record": run.model_copy(update={"trials": []}).model_dump_json(),
            }
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO run ({RUN_COLUMNS}) VALUES ({values})"), row)
        for trial in ended.trials:
            row = {
                "run_id": "ended",
                "case": trial.case,
                "device": trial.device,
                "repeat": trial.repeat,
                "attempt": trial.attempt,
                "status": trial.status.value,
                "wall_us": trial.wall_us,
                "clock": trial.clock.value,
                "record": trial.model_dump_json(),
            }
            names, values = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO trial ({names}) VALUES ({values})"), row)
    engine.dispose()


@pytest.mark.parametrize("revision", EARLIER)
def test_runs_of_an_older_farm_are_kept_and_left_to_their_own_process(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "store.sqlite"
    left_by_an_older_farm(path, revision)

    with Store.open(f"sqlite:///{path}") as store:
        store.settle()
        ended, going = store.get("ended"), store.get("going")

    assert ended == samples.run(run_id="ended")
    assert going.verdict is None  # its farm gives no sign of life, which is no proof that it has ended
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_the_first_revision_is_among_them() -> None:
    assert EARLIER[0] == "0001"
