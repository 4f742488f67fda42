"""Whose bits agree: one table a case, a row a device, a column an output. Pure functions on the record."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from farm.text import counting_order
from jobs.records import TrialRecord


class DigestAgreement(str, enum.Enum):
    """How one device's bits of one output compare with those most trials gave."""

    AGREES = "agrees"
    DIFFERS = "differs"  # the same other bits in every repeat
    RACES = "disagrees with itself"
    ABSENT = "not measured"


@dataclass(frozen=True, slots=True)
class DigestCell:
    """One output on one device."""

    agreement: DigestAgreement
    digest: str  # the device's own commonest one, "" where absent
    odd_repeats: tuple[int, ...]  # repeats whose bits are not the commonest of all trials


@dataclass(frozen=True, slots=True)
class DigestRow:
    """One device's outputs, in the order of the matrix."""

    device: str
    cells: tuple[DigestCell, ...]

    @property
    def odd(self) -> bool:
        """True where any output differs."""
        return any(cell.agreement in (DigestAgreement.DIFFERS, DigestAgreement.RACES) for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Device × output."""

    outputs: tuple[str, ...]
    rows: tuple[DigestRow, ...]  # odd devices first
    common: tuple[str, ...]  # of each output the digest that most trials gave
    majority: tuple[bool, ...]  # of each output whether more than half of the trials gave it


def matrix(trials: Sequence[TrialRecord]) -> Matrix:
    """The matrix of the measured `trials` of one case."""
    outputs = tuple(dict.fromkeys(name for trial in trials for name in trial.outputs))
    found: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for trial in trials:
        for name, output in trial.outputs.items():
            found[trial.device][name][trial.repeat] = output.sha256
    counted = {
        name: Counter(digest for of_device in found.values() for digest in of_device[name].values()) for name in outputs
    }
    common = {name: counts.most_common(1)[0][0] for name, counts in counted.items()}
    rows = [
        DigestRow(device, tuple(_cell(of_device.get(name, {}), common[name]) for name in outputs))
        for device, of_device in found.items()
    ]
    return Matrix(
        outputs=outputs,
        rows=tuple(sorted(rows, key=lambda row: (not row.odd, counting_order(row.device)))),
        common=tuple(common[name] for name in outputs),
        majority=tuple(2 * counted[name][common[name]] > counted[name].total() for name in outputs),
    )


def _cell(by_repeat: dict[int, str], common: str) -> DigestCell:
    if not by_repeat:
        return DigestCell(DigestAgreement.ABSENT, "", ())
    own = Counter(by_repeat.values())
    odd = tuple(sorted(repeat for repeat, digest in by_repeat.items() if digest != common))
    if len(own) > 1:
        return DigestCell(DigestAgreement.RACES, own.most_common(1)[0][0], odd)
    return DigestCell(DigestAgreement.DIFFERS if odd else DigestAgreement.AGREES, own.most_common(1)[0][0], odd)
