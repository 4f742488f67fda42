"""`farm top`, as typed: what goes on, who holds which device, who waits."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from farm import paths
from farm.cli import top
from farm.leasing.device_queue import QueueEntry
from farm.model.priority import Priority
from farm.monitor.snapshot import DeviceLook, Snapshot, take
from farm.process import identity
from farm.store import lease_book
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.timestamps import now
from tests.farm import samples


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FARM_STORE", raising=False)


@pytest.fixture
def going() -> None:
    """A run on three devices that has four of its nine trials, and one that is over."""
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running("run-goes-on"))
        store.save_trials("run-goes-on", [samples.trial("10.0.0.1/0", repeat) for repeat in range(3)])
        store.save_trials("run-goes-on", [samples.trial("10.0.0.1/1"), samples.lost_trial("10.0.0.1/2")])
        store.begin(samples.running("run-over"))
        store.finish(samples.run(run_id="run-over"))


def farm_top(*arguments: str) -> Result:
    result = CliRunner().invoke(top.command, list(arguments))
    assert result.exit_code == 0, result.exception
    return result


def test_what_goes_on_is_told_with_its_progress(going: None) -> None:
    found = json.loads(farm_top("--json").stdout)

    (run,) = found["runs"]
    assert (run["run_id"], run["done"], run["planned"]) == ("run-goes-on", 4, 9)
    by_device = {device["id"]: (device["done"], device["lost"]) for device in run["devices"]}
    assert by_device == {"10.0.0.1/0": (3, 0), "10.0.0.1/1": (1, 0), "10.0.0.1/2": (0, 1)}
    assert [device["run_id"] for device in found["devices"]] == ["run-goes-on"] * 3
    assert (found["address"], found["free"], found["waiting"]) == (None, None, [])


def test_once_and_a_pipe_print_one_look_within_80_columns(going: None) -> None:
    for arguments in (("--once",), ()):
        said = farm_top(*arguments).stdout
        assert "run-goes-on" in said
        assert "4/9" in said
        assert "run-over" not in said
        assert max(len(line) for line in said.splitlines()) <= 80


def test_nothing_going_on_is_no_error() -> None:
    assert "no run goes on" in farm_top("--once").stdout
    assert json.loads(farm_top("--json").stdout)["runs"] == []


def test_devices_come_in_counting_order_with_state_and_holder_and_the_line_below() -> None:
    look = Snapshot(
        at="2026-11-23 14:00:00 UTC",
        address="head:6379",
        free=1,
        runs=(),
        devices=(DeviceLook("n/2", "healthy", "run-1"), DeviceLook("n/10", "quarantined", "")),
        waiting=(QueueEntry("t", Priority.INTERACTIVE, 3, 12.0, "ann@host pid 1, run of [bold]x"),),
    )
    out = io.StringIO()
    Console(file=out, width=80).print(top.view(look))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]

    assert "cluster head:6379, 1 device free" in lines[0]
    assert lines.index("n/2 healthy run-1") < lines.index("n/10 quarantined –")
    assert "ann@host pid 1, run of [bold]x 3 interactive 12 s" in lines


def test_a_snapshot_knows_the_state_of_a_device(going: None) -> None:
    with Store.open(paths.store_url()) as store:
        assert {device.state for device in take(store, "a2a3sim", None).devices} == {"healthy"}


def test_an_interrupt_ends_it_quietly(going: None, tmp_path: Path) -> None:
    script = (
        "import sys; from farm.cli import top; top.output_console = lambda: __import__('rich.console').console.Console("
    )
    script += "force_terminal=True, width=80); top.command(standalone_mode=True)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shown:
        assert shown.stdout is not None
        seen = b""
        end_s = time.monotonic() + 120
        while b"run-goes-on" not in seen and shown.poll() is None and time.monotonic() < end_s:
            seen += os.read(shown.stdout.fileno(), 4096)
        shown.terminate()
        _, complaints = shown.communicate(timeout=60)
    assert b"run-goes-on" in seen
    assert (shown.returncode, complaints) == (0, b"")


def test_a_lease_of_a_person_is_shown_with_its_devices() -> None:
    entry = PersonLease("l-1", "a2a3sim", ("n/2",), "ann@n", "bash", now(), now(), identity.current())
    with Store.open(paths.store_url()) as store:
        lease_book.note(store.engine, entry)

    found = json.loads(farm_top("--json").stdout)
    assert found["leases"] == [
        {"lease": "l-1", "devices": ["n/2"], "who": "ann@n", "program": "bash", "until": entry.until}
    ]
    assert [(device["id"], device["lease"]) for device in found["devices"]] == [("n/2", str(entry))]
    said = farm_top("--once").stdout
    assert "ann@n until" in said
    assert max(len(line) for line in said.splitlines()) <= 80
