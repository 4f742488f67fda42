"""`farm devices` and what a person can do about one: exit codes, one-line refusals, JSON, and real probes."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from sqlalchemy import create_engine, text

from farm import paths
from farm.cli import devices
from farm.cli.app import main
from farm.cluster import connection as cluster
from farm.execution.device_probe import probe_devices
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.model.device_health import DeviceState, EventKind, HealthEvent
from farm.model.priority import Priority
from farm.model.selection import Selection
from farm.monitor.device_list import census, listed
from farm.process import identity
from farm.store import lease_book
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.timestamps import now
from kernel.errors import DeviceError
from kernel.platforms.protocol import Probe
from tests.fakes import platforms
from tests.farm import samples

pytestmark = pytest.mark.usefixtures("at_home")

DEVICE = "10.0.0.1/0"
GONE = "10.0.0.9/3"
PLATFORM = "a2a3sim"


def farm(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["devices", *arguments])


def told(*arguments: str) -> Any:
    result = farm(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def assert_refused(result: Result, words: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert words in lines[0]


def observe(*kinds: EventKind, device: str = DEVICE) -> None:
    with Store.open(paths.store_url()) as store:
        store.observe([HealthEvent(device, PLATFORM, now(), kind, "507014: AICORE timeout", "run-1") for kind in kinds])


def health(device: str = DEVICE) -> DeviceState:
    with Store.open(paths.store_url()) as store:
        return store.health(PLATFORM)[device].state


@pytest.fixture
def known(at_home: Path) -> None:
    """One device that a run has held."""
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running("run-1", devices=[samples.device(0)]))


@pytest.mark.usefixtures("known")
def test_a_person_takes_a_device_out_and_brings_it_back() -> None:
    taken = told("quarantine", DEVICE, "--reason", "fan is\nloud")
    assert (taken["state"], taken["why"], taken["by_person"]) == ("quarantined", "fan is loud", True)

    back = farm("release", DEVICE, "--reason", "new fan")

    assert (back.exit_code, back.stdout) == (0, f"{DEVICE} is suspect: new fan\n")
    events = told("history", DEVICE)
    assert [(event["kind"], event["state"], event["reason"]) for event in events] == [
        ("released", "suspect", "new fan"),
        ("quarantined", "quarantined", "fan is loud"),
    ]
    assert len(told("history", DEVICE, "--limit", "1")) == 1


@pytest.mark.usefixtures("known")
def test_history_is_one_event_a_line() -> None:
    observe(EventKind.DEVICE_FAULT)

    (line,) = farm("history", DEVICE).stdout.splitlines()

    assert line.split("\t")[1:] == ["device-fault", "suspect", "run-1", "507014: AICORE timeout"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quarantine", "nobody/0", "--reason", "x"], "no device 'nobody/0' of platform a2a3sim was ever seen"),
        (["release", "nobody/0"], "no device 'nobody/0'"),
        (["history", "nobody/0"], "no device 'nobody/0'"),
        (["history", DEVICE, "--platform", "a2a3"], f"no device '{DEVICE}' of platform a2a3"),
        (["history", DEVICE, "--platform", "b200"], "unknown platform 'b200'"),
        (["quarantine", DEVICE, "--reason", " "], "--reason is empty"),
        (["release", DEVICE], "is healthy; only a quarantined device can be released"),
        (["probe"], "name the devices to probe, or all of them with --all"),
        (["probe", "--all", DEVICE], "name the devices to probe, or all of them with --all"),
        (["--platform", "a2a3", "history", DEVICE], "--platform goes behind 'history'"),
        (["--json", "history", DEVICE], "--json goes behind 'history'"),
        (["--platform", "b200"], "unknown platform 'b200'"),
    ],
)
@pytest.mark.usefixtures("known")
def test_bad_input_is_one_line_and_changes_nothing(arguments: list[str], words: str) -> None:
    assert_refused(farm(*arguments), words)

    assert told("history", DEVICE) == []
    assert health() is DeviceState.HEALTHY


def test_a_reason_must_be_given() -> None:
    assert farm("quarantine", DEVICE).exit_code == 2


@pytest.mark.usefixtures("known")
def test_a_record_from_the_future_is_one_line_until_it_is_released() -> None:
    observe(EventKind.VOTE_LOST)
    ahead = (datetime.now(timezone.utc) + timedelta(days=400)).isoformat(timespec="milliseconds")
    engine = create_engine(paths.store_url())
    with engine.begin() as connection:
        connection.execute(text("UPDATE device SET last_event_at = :at"), {"at": ahead})
    engine.dispose()

    assert_refused(farm(), f"device {DEVICE} has an event dated {ahead}", code=3)

    assert farm("release", DEVICE).exit_code == 0
    assert health() is DeviceState.SUSPECT


def test_a_store_of_a_newer_farm_is_one_line() -> None:
    Store.open(paths.store_url()).close()
    engine = create_engine(paths.store_url())
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    for arguments in ([], ["probe", "--all"], ["quarantine", DEVICE, "--reason", "x"], ["history", DEVICE]):
        assert_refused(farm(*arguments), "the store's tables are of revision 9999, this farm knows them up to")


def test_the_table_leaves_columns_out_on_a_narrow_terminal_and_stays_legible() -> None:
    observe(EventKind.TRIAL_OK, EventKind.DEVICE_FAULT)
    observe(EventKind.VOTE_LOST, device=GONE)
    with Store.open(paths.store_url()) as store:
        store.see(PLATFORM, [{"id": DEVICE, "node": "10.0.0.1", "soc": "Ascend910B1", "card": "4"}])
        lines = listed([DEVICE], store.device_reports(PLATFORM))

    for width, parts in ((200, (DEVICE, "suspect", "Ascend910B1", "50 % of 2", "run-1")), (70, (DEVICE, "50 % of 2"))):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(devices.device_table(lines, console.width >= devices.WIDE))
        shown = console.export_text()
        assert [part for part in (*parts, "offline", "AICORE") if part not in shown] == []
    assert "not in the cluster; quarantined: 507014: AICORE timeout" in [line.why for line in lines]
    assert census(lines, 3) == "1 device, 3 free, 1 suspect, 1 offline"


def test_who_has_a_device_outside_of_runs_stands_beside_its_health() -> None:
    observe(EventKind.TRIAL_OK, EventKind.DEVICE_FAULT)
    entry = PersonLease("l-1", PLATFORM, (DEVICE,), "ann@n", "bash", now(), now(), identity.current())
    with Store.open(paths.store_url()) as store:
        store.see(PLATFORM, [{"id": DEVICE, "node": "10.0.0.1", "soc": "", "card": ""}])
        lease_book.note(store.engine, entry)
        lent = lease_book.by_device(lease_book.current(store.engine, PLATFORM))
        (line,) = listed([DEVICE], store.device_reports(PLATFORM), {DEVICE: "locked by bob (pid 3)"}, lent)

    assert (line.state, line.locked, line.lease) == ("suspect", "locked by bob (pid 3)", str(entry))
    assert line.remark == f"locked by bob (pid 3); {entry}; 507014: AICORE timeout"
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(devices.device_table([line], wide=True))
    assert "locked by bob (pid 3); leased by ann@n until" in console.export_text()


def local_device(index: int) -> str:
    from farm.cluster import connection as cluster

    (node,) = cluster.nodes().values()
    return f"{node.name}/{index}"


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray")
def test_the_listing_tells_of_every_device_and_of_those_that_are_gone() -> None:
    observe(EventKind.VOTE_LOST, device=GONE)
    first = local_device(0)
    observe(EventKind.TRIAL_OK, EventKind.DEVICE_FAULT, device=first)

    answer = told()

    assert (answer["platform"], answer["free"]) == (PLATFORM, 4)
    by_id = {device["id"]: device for device in answer["devices"]}
    assert list(by_id) == [*(local_device(index) for index in range(4)), GONE]
    assert by_id[first]["state"] == "suspect"
    assert by_id[first]["why"] == "507014: AICORE timeout"
    assert by_id[first]["since"]
    assert by_id[first]["needs_probe"]
    assert by_id[first]["last_runs"] == ["run-1"]
    assert by_id[first]["fault_rate"] == 0.5
    assert by_id[first]["index"] == 0
    assert by_id[first]["soc"].startswith("Ascend910B1")
    assert by_id[first]["card"] == "0"
    assert by_id[local_device(1)]["fault_rate"] is None
    assert (by_id[GONE]["state"], by_id[GONE]["health"]) == ("offline", "quarantined")

    lines = [line.split("\t") for line in farm().stdout.splitlines()]
    assert [line[:2] for line in lines][:2] == [[first, "suspect"], [local_device(1), "healthy"]]
    assert {len(line) for line in lines} == {8}


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray")
def test_what_the_listing_shows_can_be_quarantined() -> None:
    device = told()["devices"][2]["id"]

    assert farm("quarantine", device, "--reason", "to be swapped").exit_code == 0

    assert [line["state"] for line in told()["devices"]] == ["healthy", "healthy", "quarantined", "healthy"]


class SickOnOneDevice(platforms.Honest):
    """Device 1 fails its canary, device 2 its driver."""

    def probe(self, device: int, directory: Path) -> Probe:
        if device == 2:
            raise DeviceError("507033", "setup error")
        return Probe(device != 1, "canary program: wrong answer" if device == 1 else "fake")


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray")
def test_probes_tell_fit_from_unfit_and_are_noted() -> None:
    with Store.open(paths.store_url()) as store:
        answers = probe_devices(SickOnOneDevice, [], store, None, 0.0)
        again = probe_devices(SickOnOneDevice, [local_device(1)], store, None, 0.0)

        assert [(each.outcome, each.detail) for each in answers] == [
            ("clean", "fake"),
            ("failed", "canary program: wrong answer"),
            ("failed", "device error 507033: setup error"),
            ("clean", "fake"),
        ]
        assert [each.healthy for each in again] == [False]
        states = [store.health("fake")[local_device(index)].state.value for index in range(4)]
        assert states == ["healthy", "quarantined", "suspect", "healthy"]
        kinds = [event.kind for event in store.device_history("fake", local_device(1))]
        assert kinds == [EventKind.CANARY_FAILED] * 2


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray")
def test_a_quarantined_device_can_be_probed_and_a_leased_one_cannot() -> None:
    with Store.open(paths.store_url()) as store, cluster.connected(None, simulated=True) as head:
        out, held = local_device(0), local_device(1)
        store.observe([HealthEvent(out, "fake", now(), EventKind.VOTE_LOST, "other bits")])
        lease = Lease(
            platforms.Honest,
            "fake",
            str(paths.cache()),
            store,
            QueueClient(Priority.INTERACTIVE, "test", shared=False),
            Selection(devices=[held]),
            {},
            head,
            witnesses=False,
        )
        try:
            lease.acquire(1, 0.0)
            answers = probe_devices(platforms.Honest, [out, held, out], store, None, 0.0)
        finally:
            lease.release()

        assert [(each.id, each.outcome) for each in answers] == [(out, "clean"), (held, "not probed")]
        assert store.device_history("fake", out)[0].kind is EventKind.CANARY_CLEAN
        assert store.health("fake")[out].state is DeviceState.QUARANTINED


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray")
def test_an_unknown_device_is_not_probed() -> None:
    assert_refused(farm("probe", local_device(0), "nobody/0"), "no device 'nobody/0' in the cluster")

    with Store.open(paths.store_url()) as store:
        assert store.health(PLATFORM) == {}


@pytest.mark.ray
@pytest.mark.sim
@pytest.mark.usefixtures("joined_ray")
def test_probe_ends_with_the_right_exit_code() -> None:
    device = local_device(3)

    answer = told("probe", device)

    assert answer["devices"] == [
        {
            "id": device,
            "healthy": True,
            "detail": "canary program: every element right",
            "state": "healthy",
        }
    ]


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 3), (None, 3)])
def test_one_unfit_device_makes_the_probe_exit_3(
    monkeypatch: pytest.MonkeyPatch, healthy: bool | None, code: int
) -> None:
    from farm.execution import device_probe

    answers = [device_probe.Probed(DEVICE, True, "right"), device_probe.Probed(GONE, healthy, "so\nso")]
    monkeypatch.setattr(device_probe, "probe_devices", lambda *arguments: answers)

    result = farm("probe", "--all")

    assert result.exit_code == code
    assert result.stdout.splitlines()[1] == f"{GONE}\t{answers[1].outcome}\thealthy\tso so"
