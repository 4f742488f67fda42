"""`farm runs settle | import` as a user meets them. The list itself is in the tests of what it shows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from farm import paths
from farm.cli.app import main
from farm.process import identity
from farm.report.write import write_reports
from farm.store.run_store import Store
from farm.store.tables import RUN
from tests.farm import samples

pytestmark = pytest.mark.usefixtures("at_home")

ID = samples.running().run_id


def farm(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["runs", *arguments])
    return result.exit_code, result.output


def test_the_list_is_still_what_runs_alone_prints() -> None:
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running())

    code, said = farm("--limit", "1")

    assert code == 0
    assert ID in said


def test_a_run_of_a_lost_host_is_settled() -> None:
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running())
        gone = dataclasses.replace(identity.current(), host="lost-host")
        with store.engine.begin() as connection:
            connection.execute(update(RUN).values(owner=gone.dump()))

    assert farm("settle", ID) == (0, f"run {ID} is errored: interrupted; go on with `farm resume {ID}`\n")
    code, said = farm("settle", ID)
    assert (code, said.count("\n")) == (3, 1)
    assert "already errored" in said


def test_a_run_that_lives_is_refused_in_one_line() -> None:
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running())

    code, said = farm("settle", ID)

    assert (code, said.count("\n")) == (2, 1)
    assert "end that process first" in said


def test_a_directory_is_imported_once(tmp_path: Path) -> None:
    write_reports(samples.run(run_id=ID), tmp_path)

    assert farm("import", str(tmp_path)) == (0, f"run {ID} is imported\n")
    assert farm("import", str(tmp_path)) == (0, f"run {ID} is in the store already\n")
    assert farm("import", str(tmp_path / "elsewhere"))[0] == 2
    code, told = farm("import", "--json", str(tmp_path))
    assert (code, json.loads(told)) == (0, [{"run_id": ID, "directory": str(tmp_path), "imported": False}])


def test_an_option_in_front_of_the_subcommand_is_refused() -> None:
    code, said = farm("--limit", "3", "settle", ID)

    assert code == 2
    assert "--limit goes behind 'settle'" in said
