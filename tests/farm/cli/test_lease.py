"""`farm lease`, as typed, with devices that are held on paper: what COMMAND gets, its end and its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farm.cli import lease
from farm.cli.app import main
from farm.errors import CapacityError
from farm.execution import person_lease
from farm.execution.person_lease import Held, LeaseRequest
from farm.model.priority import Priority
from farm.process import identity
from farm.store.lease_book import PersonLease
from farm.timestamps import now

ENTRY = PersonLease("lease-1", "a2a3sim", ("n/5", "n/7"), "ann@n", "sh", now(), now(), identity.current())
PRINT = "import os; print(*map(os.environ.get, ('ASCEND_RT_VISIBLE_DEVICES', 'TASK_DEVICE', 'NPU_LOCKED_DEVICE')))"


class Leases:
    """What was asked for; `given_back` once the block has ended."""

    def __init__(self) -> None:
        self.requests: list[LeaseRequest] = []
        self.given_back = 0
        self.locked = False
        self.error: Exception | None = None

    @contextlib.contextmanager
    def leased(self, factory: Any, request: LeaseRequest, *others: Any) -> Iterator[Held]:
        self.requests.append(request)
        if self.error:
            raise self.error
        os.environ["OF_RAY"] = "set while it is connected"
        print("what Ray prints")
        try:
            yield Held(ENTRY, (5, 7), self.locked, lambda: None)
        finally:
            self.given_back += 1


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> Leases:
    found = Leases()
    monkeypatch.setattr(person_lease, "leased", found.leased)
    monkeypatch.setenv("OF_RAY", "")
    return found


def farm_lease(*arguments: str) -> Result:
    return CliRunner().invoke(lease.command, list(arguments))


def test_the_exit_code_is_the_command_s(leases: Leases) -> None:
    assert farm_lease("--devices", "2", "--for", "30m", "--", "sh", "-c", "exit 41").exit_code == 41
    assert leases.requests == [LeaseRequest(2, 1800.0, "sh", 0.0, Priority.INTERACTIVE, ())]
    assert leases.given_back == 1


@pytest.mark.parametrize(
    ("options", "locked", "seen"),
    [
        ((), False, "5,7 5,7 None"),
        (("--physical",), False, "None 5,7 None"),
        (("--physical",), True, "None 5,7 5,7"),
    ],
)
def test_the_command_is_told_its_devices(
    leases: Leases, options: tuple[str, ...], locked: bool, seen: str, capfd: pytest.CaptureFixture[str]
) -> None:
    leases.locked = locked
    os.environ.pop("NPU_LOCKED_DEVICE", None)

    assert farm_lease(*options, "--", sys.executable, "-c", PRINT).exit_code == 0
    assert capfd.readouterr().out == f"{seen}\n"


def test_the_command_has_the_caller_s_environment_and_not_ray_s(
    leases: Leases, capfd: pytest.CaptureFixture[str]
) -> None:
    farm_lease("--", "sh", "-c", 'echo "[$OF_RAY]"')

    assert capfd.readouterr().out == "[]\n"


def test_json_is_one_line_in_front(leases: Leases, capfd: pytest.CaptureFixture[str]) -> None:
    result = farm_lease("--json", "--", "sh", "-c", "echo hers")

    assert json.loads(result.stdout) == {
        "lease": "lease-1",
        "platform": "a2a3sim",
        "devices": ["n/5", "n/7"],
        "until": ENTRY.until,
    }
    assert result.stdout.count("\n") == 1
    assert capfd.readouterr().out == "hers\n"


def test_at_the_end_of_the_time_the_command_is_ended(leases: Leases) -> None:
    result = farm_lease("--for", "1s", "--", "sleep", "600")

    assert result.exit_code == 143
    assert "n/5, n/7 until" in result.stderr
    assert "farm: the time is over; sh was ended" in result.stderr
    assert leases.given_back == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "soon", "--", "true"), "--for 'soon' is no time; write 90s, 30m, 2h or 1d, from 1s to 7d"),
        (("--for", "0s", "--", "true"), "--for '0s' is no time"),
        (("--for", "8d", "--", "true"), "--for '8d' is no time"),
        (("--", "no-such-program"), "there is no program 'no-such-program' to run"),
        ((), "Missing argument"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_leased(
    leases: Leases, arguments: tuple[str, ...], message: str
) -> None:
    result = CliRunner().invoke(main, ["lease", *arguments])

    assert result.exit_code == 2
    assert message in result.stderr
    assert leases.requests == []


def test_too_few_devices_are_wrong_usage(leases: Leases) -> None:
    leases.error = CapacityError(1, 0, "free now are", "wait")

    result = CliRunner().invoke(main, ["lease", "--", "true"])

    assert (result.exit_code, result.stderr) == (2, "farm: 1 device asked for, free now are 0; wait\n")
