"""`TunedKernel`: a `SimpleKernel` with knobs, the best known ones of each case in a file, and a space to search."""

from __future__ import annotations

import abc
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from kernel.errors import TuningError, unknown
from kernel.knobs import overridden
from kernel.simple import SimpleKernel
from kernel.spec import Program, Step, Tuning

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Knobs:
    """A record of knobs; a kernel's own derives from it. Each is an `int` of 1 or more, a `bool` or a `str`."""

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return asdict(self)


OwnKnobs = TypeVar("OwnKnobs", bound=Knobs)


@dataclass(frozen=True, slots=True)
class History:
    """Where a kernel's tuning came from and where it may go, as `kernel.spec.TunableKernel` has them."""

    untuned: Mapping[str, str]  # overrides that take the best tuning back to where it began
    steps: tuple[Step, ...]  # taken all, they lead from there to the best one
    space: Mapping[str, tuple[str, ...]]  # the values worth trying for each knob


class TunedKernel(SimpleKernel, Generic[OwnKnobs]):
    """A kernel with knobs. Follows `kernel.spec.TunableKernel`, so `farm ledger` and `farm tune` work on it.

    `tunings.toml` beside the class has a table for each case with the knobs that are not as in `knobs`.
    """

    knobs: OwnKnobs  # the defaults
    history: History

    @abc.abstractmethod
    def check(self, case: str, tuning: OwnKnobs) -> None:
        """Raise `GuardError` for a tiling of `case` that does not divide or does not fit."""

    @abc.abstractmethod
    def build(self, case: str, tuning: OwnKnobs) -> Program:
        """The program that computes `case` under `tuning`, which has been checked."""

    def tuning(self, case: str, overrides: Mapping[str, str]) -> OwnKnobs:
        """The best known tuning of `case` with `overrides` applied. Raises `TuningError`, `UnknownNameError`."""
        self.dims(case)
        tuning = overridden(self._best(case), overrides)
        for key, value in tuning.as_dict().items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise TuningError(f"tuning key '{key}' is {value}; it must be at least 1")
        self.check(case, tuning)
        return tuning

    def program(self, case: str, tuning: Tuning) -> Program:
        """The program of `case`. Raises `TypeError` for another kernel's tuning, and `GuardError`."""
        if not isinstance(tuning, type(self.knobs)):
            raise TypeError(f"{self.name} takes its own {type(self.knobs).__name__}, not {type(tuning).__name__}")
        self.check(case, tuning)
        return self.build(case, tuning)

    def defaults(self) -> Mapping[str, int | float | bool | str]:
        """Every knob as it is where the tunings file says nothing."""
        return self.knobs.as_dict()

    def tunings(self) -> Path:
        """`tunings.toml` beside the class."""
        return self.sources()[0].parent / "tunings.toml"

    def untuned(self, case: str) -> Mapping[str, str]:
        """Overrides that take the best tuning of `case` back to where its history began."""
        return self.history.untuned

    def steps(self, case: str) -> tuple[Step, ...]:
        """The named steps from there to the best tuning."""
        return self.history.steps

    def tuning_space(self, case: str) -> Mapping[str, tuple[str, ...]]:
        """Values worth trying for each knob of `case`, the best known one first."""
        best = self._best(case).as_dict()
        return {key: tuple(dict.fromkeys((_text(best[key]), *values))) for key, values in self.history.space.items()}

    def _best(self, case: str) -> OwnKnobs:
        path = self.tunings()
        document = _document(path)
        known = self.knobs.as_dict()
        for name, entry in document.items():
            if name not in self.cases:
                raise TuningError(f"{path}: {unknown('case', name, self.cases)}")
            _require_knobs(f"{path}: [{name}]", entry, known)
        return replace(self.knobs, **document.get(case, {}))


def _document(path: Path) -> dict[str, Any]:
    """The tunings file. Raises `TuningError` where it cannot be read."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TuningError(f"cannot read the tunings file {path}: {' '.join(str(error).split())}") from error
    return document


def _require_knobs(where: str, entry: Any, known: Mapping[str, int | float | bool | str]) -> None:
    """Raise `TuningError` unless `entry` is a table of knobs, each of the type of its default."""
    if not isinstance(entry, dict):
        raise TuningError(f"{where} is {entry!r:.40}; write one table per case")
    for key, value in entry.items():
        if key not in known:
            raise TuningError(f"{where}: {unknown('tuning key', key, known)}")
        if type(value) is not type(known[key]):
            kind = type(known[key]).__name__
            raise TuningError(
                f"{where} {key} is {value!r:.40}; write a value of type {kind}, as its default {known[key]!r}"
            )


def _text(value: int | float | bool | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
