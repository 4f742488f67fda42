"""The benchmark against a peer: what is wrong with the peer is said in one line, and the script runs as a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.floor import stage_floors_us
from benchmarks.kernel import PeerError, load_peer, measure, peer_program
from kernel.qkv_proj_rope.shapes import shape_of

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


@pytest.mark.sim
def test_no_stage_of_a_run_is_below_its_floor() -> None:
    measured = measure("tiny", None)

    assert measured["floor_us"] < measured["ours_us"]
    below = [
        stage for stage, floor in stage_floors_us(shape_of("tiny")).items() if measured[f"ours_{stage}_us"] < floor
    ]
    assert below == []
