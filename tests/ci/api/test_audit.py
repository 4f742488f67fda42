"""The one audit log: who did what, by the API, on the dashboard and by the command line, and from where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from ci.api import tokens
from ci.cli.store import command as store_command
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.store.states import JobKind, Scope
from farm.cli.devices import command as devices_command
from farm.model.audit import AuditAction, AuditEntry
from farm.model.priority import Priority
from farm.store import audit_log, health_store
from farm.store.audit_log import console
from farm.store.engine import transaction
from tests.ci.web.site import Site, value

pytestmark = pytest.mark.service

HERE = "127.0.0.1"
DEVICE = "a2a3sim/vm/0"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    health_store.see(made.engine, "a2a3sim", [{"id": "vm/0", "node": "vm", "soc": "", "card": ""}])
    yield made
    made.engine.dispose()


def entries(site: Site, subject: str = "") -> list[AuditEntry]:
    """Oldest first, without the making of the test's own tokens."""
    with transaction(site.engine, "read") as connection:
        found = audit_log.entries(connection, 100, subject=subject)
    return [each for each in reversed(found) if each.action is not AuditAction.TOKEN_CREATED]


def queued(site: Site) -> str:
    """A job of a fork's commit."""
    commit = ("pull/7", 7, "7" * 40, "1" * 40, "main")
    asked = Validate(JobKind.PULL_REQUEST, *commit, True, "ann", Priority.PULL_REQUEST)
    with transaction(site.engine, "written", write=True) as connection:
        queue = Queue(connection, site.config, site.config.repository[1])
        return queue.validate(asked).split(" as job ")[1].split()[0]


def test_the_use_of_a_token_is_noted_once_a_day_and_so_is_its_misuse(site: Site) -> None:
    with site.client(Scope.READ) as client:
        for _ in range(3):
            assert client.get("/api/v1/jobs").status_code == 200
            assert client.get("/api/v1/audit").status_code == 403
        name = tokens.list_tokens(site.engine)[-1].name
        tokens.revoke(site.engine, name)
        for _ in range(2):
            assert client.get("/api/v1/jobs").status_code == 401
        assert httpx.get(f"{client.base_url}/api/v1/jobs", headers={"Authorization": "Bearer x"}).status_code == 401

    used = [each for each in entries(site) if each.action is AuditAction.TOKEN_USED]
    assert [(each.actor, each.subject, each.origin) for each in used] == [(f"token {name}", name, HERE)] * 3
    assert [each.outcome for each in used] == ["done", "refused: it has no scope 'admin'", "refused: it is revoked"]


def test_what_the_api_does_or_refuses_is_noted(site: Site) -> None:
    job = queued(site)
    with site.client(Scope.SUBMIT) as client:
        for verb, status in (("approve", 200), ("approve", 409), ("retry", 409), ("cancel", 200), ("retry", 201)):
            assert client.post(f"/api/v1/jobs/{job}/{verb}").status_code == status
        assert client.post(f"/api/v1/jobs/{'0' * 32}/cancel").status_code == 404

    found = entries(site, job)
    assert [(each.action.value, each.outcome.split(":")[0]) for each in found] == [
        ("approved", "done"),
        ("approved", "refused"),
        ("retried", "refused"),
        ("cancelled", "done"),
        ("retried", "done"),
    ]
    assert {(each.actor, each.origin) for each in found} == {("token t0", HERE)}
    assert not entries(site, "0" * 32)


@pytest.mark.parametrize(
    ("place", "action"),
    [
        ("/jobs/{job}/cancel", AuditAction.CANCELLED),
        ("/jobs/{job}/approve", AuditAction.APPROVED),
        ("/jobs/{job}/retry", AuditAction.RETRIED),
        (f"/devices/{DEVICE}/quarantine", AuditAction.QUARANTINED),
        (f"/devices/{DEVICE}/release", AuditAction.RELEASED),
    ],
)
def test_a_form_that_its_sender_has_no_scope_for_is_noted_once_and_changes_nothing(
    site: Site, place: str, action: AuditAction
) -> None:
    job = queued(site)
    with site.visitor(Scope.READ) as visitor:
        mark = value(visitor.get("/"), "mark")
        for _ in range(3):
            assert visitor.post(place.format(job=job), data={"mark": mark, "reason": "x"}).status_code == 403

    [refused] = [each for each in entries(site) if each.action is not AuditAction.SIGNED_IN]
    assert (refused.action, refused.actor, refused.origin) == (action, "token t0", HERE)
    assert refused.subject == (job if "{job}" in place else DEVICE)
    assert refused.outcome.startswith("refused: no scope '")
    assert health_store.health(site.engine, "a2a3sim")["vm/0"].usable


@pytest.mark.parametrize("place", [f"/jobs/{'0' * 32}/cancel", "/devices/a2a3sim/vm/9/quarantine"])
def test_forms_about_nothing_or_of_another_site_are_not_noted(site: Site, place: str) -> None:
    with site.visitor(Scope.READ) as visitor:
        mark = value(visitor.get("/"), "mark")
        assert visitor.post(place, data={"mark": mark, "reason": "x"}).status_code == 404
        assert visitor.post(place, data={"mark": "forged", "reason": "x"}).status_code == 403

    assert [each.action for each in entries(site)] == [AuditAction.SIGNED_IN]


def test_a_device_is_in_one_log_whoever_decides_about_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_STORE", str(site.engine.url))
    runner = CliRunner()
    taken_out = runner.invoke(devices_command, ["quarantine", "vm/0", "--reason", "loud fan"])
    assert taken_out.exit_code == 0, taken_out.output
    with site.visitor(Scope.READ, Scope.ADMIN) as visitor:
        page = visitor.get(f"/devices/{DEVICE}")
        visitor.post(f"/devices/{DEVICE}/release", data={"reason": "new fan", "mark": value(page, "mark")})
        shown = visitor.get("/audit", params={"subject": DEVICE})
        linked = visitor.get("/").text

    by_console, by_page = entries(site, DEVICE)
    assert (by_console.action, by_console.detail) == (AuditAction.QUARANTINED, "loud fan")
    assert (by_console.actor, by_console.origin) == (console().name, console().origin)
    assert (by_page.action, by_page.actor, by_page.origin) == (AuditAction.RELEASED, "token t0", HERE)
    assert "loud fan" in shown.text and "new fan" in shown.text and console().origin in shown.text
    assert 'href="/audit"' in linked
    told = runner.invoke(store_command, ["audit", "--subject", DEVICE, "--json"])
    assert [each["action"] for each in json.loads(told.output)] == ["released", "quarantined"]
    assert runner.invoke(store_command, ["audit", "--limit", "1"]).output.count("\n") == 1


def test_a_sign_in_is_noted_and_the_page_is_for_who_administers(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        refused, front = visitor.get("/audit"), visitor.get("/").text

    assert refused.status_code == 403 and 'href="/audit"' not in front
    [entry] = entries(site)
    assert (entry.action, entry.actor, entry.origin) == (AuditAction.SIGNED_IN, "token t0", HERE)


def test_the_log_is_paged(site: Site) -> None:
    for number in range(60):
        audit_log.note_alone(site.engine, console(), AuditAction.SUBMITTED, f"{number:040x}")
    with site.visitor(Scope.READ, Scope.ADMIN) as visitor:
        first = visitor.get("/audit").text
        older = visitor.get(first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")).text

    assert f"{59:040x}" in first and f"{0:040x}" not in first
    assert f"{0:040x}" in older and f"{59:040x}" not in older
