"""The tunings file of a kernel is trusted configuration: what it may not hold is refused with file, table and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernel.errors import TuningError
from kernel.spec import Case, Program, Tensors, TensorSpec, Tolerance
from kernel.tuned import History, Knobs, TunedKernel


@dataclass(frozen=True, slots=True)
class TileKnobs(Knobs):
    rows: int = 16
    staging: str = "int8"
    merge: bool = False


class Tiled(TunedKernel[TileKnobs]):
    name = "tiled"
    summary = "nothing but knobs"
    cases: Mapping[str, Case] = {name: Case(name, name, {}) for name in ("tiny", "wide")}
    tolerances: Mapping[str, Tolerance] = {"y": Tolerance(0.0, 0.0, 0.0)}
    knobs = TileKnobs()
    history = History({}, (), {})

    def __init__(self, file: Path) -> None:
        self._file = file

    def tunings(self) -> Path:
        return self._file

    def check(self, case: str, tuning: TileKnobs) -> None:
        pass

    def build(self, case: str, tuning: TileKnobs) -> Program:
        raise NotImplementedError

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        return ()

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        return ()

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        return {}

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        return {}


def kernel(directory: Path, text: str) -> Tiled:
    file = directory / "tunings.toml"
    file.write_text(text)
    return Tiled(file)


def test_the_best_known_tuning_is_read_and_overridden(tmp_path: Path) -> None:
    tiled = kernel(tmp_path, '[tiny]\nrows = 32\nstaging = "int32"\nmerge = true\n\n[wide]\n')

    assert tiled.tuning("tiny", {"rows": "48"}) == TileKnobs(48, "int32", merge=True)
    assert tiled.tuning("wide", {}) == TileKnobs()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tiny]\nrow = 8\n", r"\[tiny\]: unknown tuning key 'row'; did you mean 'rows'"),
        ("[wide]\nmrge = true\n", r"\[wide\]: unknown tuning key 'mrge'; did you mean 'merge'"),
        ("[tinny]\nrows = 8\n", "unknown case 'tinny'; did you mean 'tiny'"),
        ("rows = 8\n", "unknown case 'rows'"),
        ("tiny = 8\n", r"\[tiny\] is 8; write one table per case"),
        ('[tiny]\nrows = "8"\n', "rows is '8'; write a value of type int"),
        ("[tiny]\nrows = 8.0\n", r"rows is 8\.0; write a value of type int"),
        ("[tiny]\nrows = true\n", "rows is True; write a value of type int"),
        ("[tiny]\nmerge = 1\n", "merge is 1; write a value of type bool"),
        ("[tiny]\nstaging = [1]\n", r"staging is \[1\]; write a value of type str"),
        ("[[", "cannot read the tunings file"),
    ],
)
def test_what_the_file_may_not_hold_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    tiled = kernel(tmp_path, text)

    with pytest.raises(TuningError, match=complaint) as refused:
        tiled.tuning("tiny", {})

    assert str(tiled.tunings()) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="cannot read the tunings file"):
        Tiled(tmp_path / "absent.toml").tuning("tiny", {})
