"""Tokens: shown once, kept as digests, worthless once expired or revoked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from ci.api import tokens
from ci.store.engine import open_database
from ci.store.states import Scope
from farm import timestamps
from farm.cli.app import main


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)
    yield engine
    engine.dispose()


def test_a_token_is_found_by_what_was_shown_once(engine: Engine) -> None:
    shown = tokens.create(engine, "grafana", [Scope.READ, Scope.ADMIN, Scope.READ])

    found = tokens.find(engine, shown)

    assert found is not None
    assert (found.name, found.scopes) == ("grafana", frozenset({Scope.READ, Scope.ADMIN}))


def test_the_store_has_no_token_in_any_form_that_works(engine: Engine, tmp_path: Path) -> None:
    shown = tokens.create(engine, "grafana", [Scope.READ])
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("store.sqlite*"))

    with engine.connect() as connection:
        digest = str(connection.exec_driver_sql("SELECT digest FROM token").scalar())

    assert shown.encode() not in kept and shown.removeprefix(tokens.PREFIX).encode() not in kept
    assert tokens.find(engine, digest) is None
    assert len(shown) - len(tokens.PREFIX) == 43  # 256 bits in base64


@pytest.mark.parametrize("other", ["", "farm_", "farm_x", "\udcff", "x" * 10_000])
def test_nothing_else_is_a_token(engine: Engine, other: str) -> None:
    tokens.create(engine, "grafana", [Scope.READ])

    assert tokens.find(engine, other) is None


def test_a_revoked_token_is_worthless_and_its_name_is_not_used_again(engine: Engine) -> None:
    shown = tokens.create(engine, "grafana", [Scope.READ])
    other = tokens.create(engine, "other", [Scope.READ])
    tokens.revoke(engine, "grafana")

    assert tokens.find(engine, shown) is None
    assert tokens.find(engine, other) is not None
    with pytest.raises(tokens.TokenError, match="no token 'grafana' is in force"):
        tokens.revoke(engine, "grafana")
    with pytest.raises(tokens.TokenError, match="never used again"):
        tokens.create(engine, "grafana", [Scope.READ])


def test_a_token_works_until_it_expires(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tokens.create(engine, "grafana", [Scope.READ], days=30)
    begin = timestamps.utc_now()

    monkeypatch.setattr(timestamps, "utc_now", lambda: begin + timedelta(days=29))
    assert tokens.find(engine, shown) is not None
    monkeypatch.setattr(timestamps, "utc_now", lambda: begin + timedelta(days=31))
    assert tokens.find(engine, shown) is None


def farm(directory: Path, *words: str) -> Result:
    env = {"FARM_STORE": f"sqlite:///{directory / 'store.sqlite'}"}
    return CliRunner().invoke(main, list(words), env=env)


def test_the_command_line_makes_lists_and_revokes(tmp_path: Path) -> None:
    made = farm(tmp_path, "token", "create", "ci", "--scope", "read", "--scope", "submit", "--expires", "7")
    listed = farm(tmp_path, "token", "list", "--json")
    revoked = farm(tmp_path, "token", "revoke", "ci")
    after = farm(tmp_path, "token", "list")

    token = made.stdout.strip()
    assert token.startswith(tokens.PREFIX) and "cannot be shown again" in made.stderr
    [one] = json.loads(listed.stdout)
    assert (one["name"], one["state"], one["scopes"]) == ("ci", "active", ["read", "submit"])
    assert token not in listed.output
    assert revoked.exit_code == 0
    assert after.stdout.split("\t")[:2] == ["ci", "revoked"]


@pytest.mark.parametrize(
    "words",
    [
        ("create", "ci"),
        ("create", "ci", "--scope", "everything"),
        ("create", "a name", "--scope", "read"),
        ("create", "ci", "--scope", "read", "--expires", "0"),
        ("revoke", "nobody"),
    ],
)
def test_what_cannot_be_done_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert farm(tmp_path, "token", *words).exit_code == 2


def test_upgrade_brings_both_kinds_of_tables_up_to_date_and_shows_no_password(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path / "named.sqlite"}"\n')

    done = CliRunner().invoke(
        main, ["store", "upgrade", "--config", str(tmp_path / "farm.toml")], env={"FARM_STORE": ""}
    )

    assert done.exit_code == 0, done.output
    assert "up to date" in done.output
    assert (tmp_path / "named.sqlite").exists()
    refused = CliRunner().invoke(main, ["store", "upgrade"], env={"FARM_STORE": "nonsense://u:secret@h/d"})
    assert refused.exit_code == 2 and "secret" not in refused.output
