"""Reading `npu-smi`: every format it is known to answer in, and every way not to answer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kernel.platforms import npu_smi
from kernel.platforms.a2a3 import A2A3
from kernel.platforms.npu_smi import Chip, NpuSmiError
from tests.fakes import torch_npu
from tests.fakes.npu_smi import HEALTH, FakeNpuSmi, install


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeNpuSmi:
    return install(monkeypatch, tmp_path / "bin")


def graded(grade: str) -> str:
    return HEALTH.replace("OK", grade)


def test_a_chip_that_is_well(fake: FakeNpuSmi) -> None:
    reading = npu_smi.read(3)

    assert reading.healthy
    assert reading.detail == "npu-smi: OK, 39 °C, HBM 5 % used, 0 processes"
    assert (reading.status, reading.temperature_c, reading.hbm_percent, reading.processes) == ("OK", 39, 5, 0)
    assert fake.calls[:2] == ["info -m", "info -t health -i 1 -c 1"]


@pytest.mark.parametrize(
    ("grade", "healthy"), [("OK", True), ("Warning", True), ("Alarm", False), ("Critical", False), ("UNKNOWN", False)]
)
def test_the_drivers_grade_decides(fake: FakeNpuSmi, grade: str, healthy: bool) -> None:
    fake.answer("health", graded(grade))

    reading = npu_smi.read(0)

    assert (reading.healthy, reading.status) == (healthy, grade)
    assert reading.detail.startswith(f"npu-smi: {grade}, 39 °C")


def test_of_several_grades_the_worst_counts(fake: FakeNpuSmi) -> None:
    fake.answer("health", "\tChip ID  : 0\n\tHealth   : OK\n\n\tHealth   : Alarm\n\tChip Name : MCU\n")

    assert npu_smi.read(0).status == "Alarm"


def test_processes_on_the_chip_are_counted(fake: FakeNpuSmi) -> None:
    line = "\tProcess id:1654497 Process name:python            Process memory(MB):177\n"
    fake.answer("proc-mem", f"{line}{line}\tChip ID                        : 0\n")

    assert npu_smi.read(0).processes == 2


def test_what_a_chip_does_not_tell_is_left_out(fake: FakeNpuSmi) -> None:
    fake.answer("temp", "\tTemperature (C)                : NA\n")
    fake.answer("usages", "\tMemory Usage Rate(%)           : 46\n")
    fake.fail("proc-mem", "This device does not support querying proc-mem.\n")

    assert npu_smi.read(0).detail == "npu-smi: OK"
    assert npu_smi.read(0).healthy


def test_without_the_tool_nothing_is_held_against_the_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert npu_smi.read(0).healthy is None
    assert npu_smi.read(0).detail == "no npu-smi here"


@pytest.mark.parametrize("topic", ["map", "health"])
@pytest.mark.parametrize("garbage", ["", "\x00\x80\xff" * 400, "Health Status : Splendid\n", "NPU ID\n1 2 3\n"])
def test_an_answer_nobody_can_read_is_not_healthy_and_one_short_line(
    fake: FakeNpuSmi, topic: str, garbage: str
) -> None:
    fake.answer(topic, garbage)

    reading = npu_smi.read(0)

    assert reading.healthy is False
    assert reading.detail
    assert len(reading.detail) < 250
    assert "\n" not in reading.detail


def test_a_chip_that_is_not_listed_is_not_healthy(fake: FakeNpuSmi) -> None:
    assert npu_smi.read(7).healthy is False
    assert npu_smi.read(7).detail == "npu-smi lists no chip 7; it has 0, 1, 2, 3"


@pytest.mark.parametrize("topic", ["map", "health"])
def test_an_exit_code_is_told_with_what_was_printed(fake: FakeNpuSmi, topic: str) -> None:
    fake.fail(topic, "dcmi module initialize failed. ret is -8005\n")

    reading = npu_smi.read(0)

    assert reading.healthy is False
    assert "ended with exit code 1: 'dcmi module initialize failed. ret is -8005'" in reading.detail


@pytest.mark.parametrize("topic", ["map", "health", "proc-mem"])
def test_a_tool_that_hangs_costs_its_time_limit_and_no_more(
    fake: FakeNpuSmi, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    monkeypatch.setattr(npu_smi, "TIMEOUT_S", 0.5)
    fake.hang(topic)
    begin = time.monotonic()

    reading = npu_smi.read(0)

    assert time.monotonic() - begin < 5
    assert reading.healthy is False
    assert reading.detail.endswith("gave no answer within 0.5 s")


def test_a_tool_that_does_not_start_is_not_healthy(fake: FakeNpuSmi, tmp_path: Path) -> None:
    (tmp_path / "bin" / "npu-smi").write_text("#!/no/such/interpreter\n")

    assert npu_smi.read(0).detail.startswith("npu-smi does not start: ")


def test_columns_are_found_by_their_headings(fake: FakeNpuSmi) -> None:
    fake.answer(
        "map", "NPU ID   Chip ID   Chip Logic ID   Chip Name\n8   0   0   910B\n8   1   -   Mcu\n9   0   1   910B\n"
    )
    assert [npu_smi.locate(device) for device in (0, 1)] == [Chip(8, 0), Chip(9, 0)]

    fake.answer("map", "NPU ID   Slot ID   Chip ID   Chip Phy-ID   Chip Name\n4   7   1   9   Ascend950\n")
    assert npu_smi.locate(9) == Chip(4, 1)
    with pytest.raises(NpuSmiError, match="lists no chip 7"):
        npu_smi.locate(7)


def test_the_card_is_the_drivers_and_else_every_two_chips_are_one(
    fake: FakeNpuSmi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake.answer("map", "NPU ID   Chip ID   Chip Phy-ID   Chip Name\n4   0   0   910B\n5   0   1   910B\n")
    assert [A2A3().card(device) for device in (0, 1)] == ["4", "5"]

    monkeypatch.setenv("PATH", str(tmp_path))
    assert [A2A3().card(device) for device in (0, 1, 2)] == ["0", "0", "1"]


@pytest.mark.sim
def test_the_probe_asks_the_driver_and_the_canary(
    fake: FakeNpuSmi, monkeypatch: pytest.MonkeyPatch, sim_cache: Path, tmp_path: Path
) -> None:
    npu = torch_npu.install(monkeypatch, sim_cache)
    platform = A2A3()
    platform.prepare(sim_cache)

    well = platform.probe(0, tmp_path / "well")
    assert well.healthy
    assert well.detail == "canary program: every element right; npu-smi: OK, 39 °C, HBM 5 % used, 0 processes"

    npu.used.clear()
    fake.answer("health", graded("Critical"))
    given_up = platform.probe(0, tmp_path / "given-up")
    assert (given_up.healthy, npu.used) == (False, []), "no program is started on a chip its driver has given up"
    assert given_up.detail.startswith("npu-smi: Critical")

    fake.answer("health", "who knows")
    assert not platform.probe(0, tmp_path / "garbage").healthy


BOARD = """\
	NPU ID                         : 1
	Product Name                   : NA
	Serial Number                  : {serial}
	Software Version               : 25.5.0
	Board ID                       : 0x45
"""
DIE = """\
	NPU ID                         : 1
	Chip ID                        : 0
	{label}                        : {number}
"""


def test_a_card_is_its_serial_and_each_of_its_chips_is_one_of_it(fake: FakeNpuSmi) -> None:
    fake.answer("board1", BOARD.format(serial="025VLB10K7000275"))

    assert [npu_smi.card(device) for device in (2, 3)] == ["025VLB10K7000275"] * 2
    assert [npu_smi.identity(device) for device in (2, 3)] == [
        f"serial 025VLB10K7000275 chip {chip}" for chip in (0, 1)
    ]
    assert A2A3().identity(2) == npu_smi.identity(2)


@pytest.mark.parametrize("nothing", ["NA", "", "-", "0000000000", "N/A", "unknown"])
@pytest.mark.parametrize("label", ["Die ID", "VDie ID"])
def test_without_a_serial_it_is_the_die(fake: FakeNpuSmi, nothing: str, label: str) -> None:
    fake.answer("board1", BOARD.format(serial=nothing))
    fake.answer("die1.0", DIE.format(label=label, number="42FC1404  20A06408"))
    fake.answer("die1.1", DIE.format(label=label, number="00000000 00000000"))

    assert npu_smi.identity(2) == "die 42FC1404 20A06408"
    assert npu_smi.identity(3) == ""
    assert npu_smi.card(2) == "1"


def test_without_the_tool_there_is_no_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert npu_smi.identity(0) == ""


DENIED = "DrvMngGetConsoleLogLevel failed. (ret=4)\ndcmi module initialize failed. ret is -8005\n"


@pytest.mark.parametrize(
    "answer", [DENIED, "Permission denied\n", "This command can be executed by root only: only root may\n"]
)
@pytest.mark.parametrize("topic", ["map", "health"])
def test_who_may_not_ask_has_nothing_against_the_chip(
    fake: FakeNpuSmi, monkeypatch: pytest.MonkeyPatch, topic: str, answer: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    fake.fail(topic, answer)

    reading = npu_smi.read(0)

    assert reading.healthy is None
    assert "may not ask npu-smi" in reading.detail
    monkeypatch.setenv(npu_smi.SWITCH, "require")
    assert npu_smi.read(0).healthy is False
    monkeypatch.setenv(npu_smi.SWITCH, "off")
    assert npu_smi.read(0).healthy is None
    monkeypatch.setenv(npu_smi.SWITCH, "sometimes")
    assert npu_smi.read(0).detail == "FARM_NPU_SMI is 'sometimes'; use auto, require, off"


def test_a_driver_that_does_not_even_answer_root_is_broken(fake: FakeNpuSmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    fake.fail("map", DENIED)

    assert npu_smi.read(0).healthy is False
