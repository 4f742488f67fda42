"""The benchmark against a peer: what is wrong with the peer is said in one line, and the script runs as a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kernel import PeerError, floor_us, load_peer, measure, peer_program, stage_floors_us
from kernel import qkv_proj_rope

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "kernel.py"


def write(directory: Path, source: str) -> str:
    (directory / "peer.py").write_text(source)
    return f"{directory / 'peer.py'}:program"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import a_package_nobody_has", "does not import: ModuleNotFoundError: No module named 'a_package_nobody_has'"),
        ("x = (", "does not import: SyntaxError"),
        ("raise SystemExit(3)", "does not import: SystemExit: 3"),
        ("other = print", "has no function 'program'"),
        ("program = 1", "has no function 'program'"),
    ],
)
def test_a_peer_that_cannot_be_loaded_is_named(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PeerError) as caught:
        load_peer(write(tmp_path, source))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["peer.py", "nowhere.py:program", ":program", "."])
def test_a_place_that_is_no_file_and_function_is_refused(place: str) -> None:
    with pytest.raises(PeerError, match="FILE:FUNCTION"):
        load_peer(place)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def program(dims): raise ValueError('two\\nlines')", "fails for tiny: ValueError: two lines"),
        ("def program(dims): return dims['NO_SUCH_SYMBOL']", "fails for tiny: KeyError"),
        ("def program(dims): return dims", "returns dict"),
    ],
)
def test_a_peer_that_makes_no_program_is_named(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PeerError) as caught:
        peer_program(load_peer(write(tmp_path, source)), "tiny")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_run_as_a_script_it_finds_the_kernel_and_ends_in_one_line(tmp_path: Path) -> None:
    """Its own directory comes first on a script's path, and it is named as the package it imports."""
    place = write(tmp_path, "import a_package_nobody_has")
    command = [sys.executable, str(SCRIPT), "--case", "tiny", "--peer", place]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "does not import" in ended.stderr


@pytest.mark.parametrize(("smaller", "larger"), [("tiny", "flash-s2"), ("flash-s2", "pro-s2")])
def test_the_floor_grows_with_the_case(smaller: str, larger: str) -> None:
    assert 0 < floor_us(smaller) < floor_us(larger)


def test_no_time_that_was_reached_is_below_the_floor() -> None:
    budgets = tomllib.loads((Path(qkv_proj_rope.__file__).parent / "budgets.toml").read_text())["a2a3sim"]
    reached = {case: limit["landed"][-1]["us"] for case, limit in budgets.items()}

    assert set(reached) >= {"tiny", "flash-s2", "pro-s2"}
    assert {case: us for case, us in reached.items() if us < floor_us(case)} == {}


def test_no_stage_that_was_measured_is_below_its_floor() -> None:
    published = {"attn-norm": 7.5, "wq_a": 13.1, "qr-norm": 6.6, "q-proj": 22.6, "heads": 12.0}  # docs/qkv_proj_rope.md
    floors = stage_floors_us("flash-s2")

    assert {stage: us for stage, us in published.items() if us < floors[stage]} == {}
    assert sum(floors[stage] for stage in published) < sum(published.values())


@pytest.mark.sim
def test_no_stage_of_a_run_is_below_its_floor() -> None:
    measured = measure("tiny", None)

    assert measured["floor_us"] < measured["ours_us"]
    below = [stage for stage, floor in stage_floors_us("tiny").items() if measured[f"ours_{stage}_us"] < floor]
    assert below == []
