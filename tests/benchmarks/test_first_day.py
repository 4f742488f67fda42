"""The script for the first hour on a device, tried on platforms that answer at once and go wrong in one way."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.first_day import VARIANTS, Day, ask, pack
from farm.doctor import Diagnosis, DoctorCheck, Status
from kernel.errors import DeviceError, GuardError
from kernel.qkv_proj_rope import KERNEL
from kernel.qkv_proj_rope.tuning import MODEL_TRICKS
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import SmallKernel

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "first_day.py"
READY = Diagnosis(platform="quick", ready=True, checks=[])
OFF = {"rows 8": {"rows": "8"}}


class Budgeted(SmallKernel):
    """With a ceiling on the platform that answers at once."""

    def __init__(self, budgets: Path) -> None:
        self._budgets = budgets

    def budgets(self) -> Path:
        return self._budgets


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    (tmp_path / "budgets.toml").write_text('[quick.small]\nceiling_us = 7.0\nsource = "a test"\n')
    kernel, until = Budgeted(tmp_path / "budgets.toml"), time.monotonic() + 60
    yield Day(kernel, QuickPlatform(), kernel.default_case, 0, 2, READY, until, tmp_path / "day")


def asked(day: Day, variants: dict[str, dict[str, str]]) -> tuple[dict[str, Any], str]:
    day.directory.mkdir()
    lines: list[str] = []
    return ask(day, variants, lines.append), "\n".join(lines)


def checks(told: dict[str, Any]) -> dict[str, bool]:
    return {answer["question"]: answer["ok"] for answer in told["checks"]}


def test_a_device_that_is_right_passes_every_question(day: Day) -> None:
    told, lines = asked(day, {})

    assert all(checks(told).values()) and len(told["checks"]) == 9
    assert "LOOK" not in lines
    assert [trial["wall_us"] for trial in told["best"]] == [6.5, 6.5]


def test_a_device_that_fails_leaves_what_is_known_and_where_to_look(day: Day) -> None:
    assert isinstance(day.platform, QuickPlatform)
    day.platform.error = DeviceError("507054", "the card is on fire")

    told, lines = asked(day, OFF)

    assert checks(told) == {
        "is the machine ready": True,
        "does the device answer the canary": False,
        "does the kernel compile and run": False,
    }
    assert "the card is on fire" in lines and "kernel/platforms/a2a3.py" in lines
    assert told["variants"]["rows 8"]["problem"].startswith(("failed: ", "refused: "))


def test_wrong_numbers_and_other_bits_are_two_questions(day: Day) -> None:
    assert isinstance(day.platform, QuickPlatform)
    calls = iter(range(100))

    def disturb(inputs: object, outputs: Any) -> None:
        first = next(iter(outputs.values()))
        first[0] = first[0] + 1000 * (next(calls) + 1)

    day.platform.after_run = disturb

    told, _ = asked(day, {})

    wrong = [question for question, ok in checks(told).items() if not ok]
    assert wrong == ["are the numbers within tolerance", "are the bits the same in each repeat"]


def test_a_time_beyond_the_ceiling_is_a_question_of_its_own(day: Day) -> None:
    day.kernel.budgets().write_text('[quick.small]\nceiling_us = 6.0\nsource = "a test"\n')

    told, lines = asked(day, {})

    assert [question for question, ok in checks(told).items() if not ok] == ["is the published ceiling kept"]
    assert "6.50 of 6.00 µs" in lines


def test_a_machine_that_lacks_something_is_named(day: Day) -> None:
    lacking = Diagnosis(
        platform="quick", ready=False, checks=[DoctorCheck(name="CANN", status=Status.PROBLEM, detail="not found")]
    )

    told, lines = asked(replace(day, diagnosis=lacking), {})

    assert not checks(told)["is the machine ready"]
    assert "CANN: not found" in lines


def test_a_variant_is_compared_in_turn_and_one_that_is_refused_or_late_is_named(day: Day) -> None:
    told, lines = asked(day, {"same": {}, "unknown": {"no_such_knob": "1"}})
    late = replace(day, until=time.monotonic() - 1, directory=day.directory.parent / "late")

    assert told["variants"]["same"]["ratio"] == 1.0
    assert told["variants"]["same"]["another_program"] is False
    assert "no_such_knob" in told["variants"]["unknown"]["problem"]
    assert "1.000 of the best tuning's time" in lines
    assert asked(late, {"same": {}})[0]["variants"]["same"]["problem"] == "not reached: the time was up"


def test_everything_is_in_one_archive(day: Day, tmp_path: Path) -> None:
    told, _ = asked(day, {"same": {}})

    archive = pack(told, day.directory, tmp_path / "out")

    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
        held = packed.extractfile("first-day/first-day.json")
        assert held is not None
        assert json.loads(held.read()) == json.loads(json.dumps(told))
    assert {"first-day/trials/best-0/platform.log", "first-day/trials/best-1/trace.json.gz"} <= names
    assert "first-day/trials/same-0/platform.log" in names


@pytest.mark.parametrize("case", ["tiny", "flash-s2"])
def test_each_variant_is_a_tuning_or_is_refused_by_a_guard(case: str) -> None:
    refused = []
    for name, tuning in VARIANTS.items():
        try:
            assert KERNEL.tuning(case, tuning) != KERNEL.tuning(case, {}) or case == "tiny"
        except GuardError:
            refused.append(name)

    assert set(VARIANTS) >= {f"{switch} off" for switch in MODEL_TRICKS}
    assert case == "tiny" or refused == []


def test_an_unknown_platform_is_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--platform", "a9"], capture_output=True, text=True, timeout=120, check=False
    )

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "a9" in ended.stderr


@pytest.mark.sim
def test_a_dry_run_on_the_simulator_leaves_an_archive(tmp_path: Path) -> None:
    words = ["--platform", "a2a3sim", "--case", "tiny", "--repeats", "1", "--only", "rope_gather off"]
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *words, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list(tmp_path.glob("first-day-*.tar.gz"))) == 1
    assert "rope_gather off" in ended.stdout
    assert "wrong" not in ended.stdout
