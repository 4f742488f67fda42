"""The matrix every sweep report shows, computed once from the record. Pure functions; nothing here judges."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.analysis.sweep_matrix import Column, Fleet, columns
from farm.gates.votes import Digests, majority, self_disagreeing
from farm.model.sweep import Kind, SweepRecord

SHORT = 8  # hex digits of a digest that are shown; the whole of it is in sweep.json


class Mark(str, enum.Enum):
    """How one device stands to the others in one column, the gravest first. The letter is what reports show."""

    OTHER_PROGRAM = "P"
    FAILED = "F"
    UNSTEADY = "U"
    ODD = "O"
    NO_MAJORITY = "N"
    MISSING = "-"
    AGREES = "="


MEANING = {
    Mark.AGREES: "the bits of the majority",
    Mark.ODD: "other bits than the majority",
    Mark.UNSTEADY: "different bits from repeat to repeat",
    Mark.NO_MAJORITY: "no bits have a majority",
    Mark.FAILED: "the trial failed",
    Mark.OTHER_PROGRAM: "another program",
    Mark.MISSING: "not measured",
}
_GRAVITY = {mark: number for number, mark in enumerate(Mark)}


@dataclass(frozen=True, slots=True)
class Square:
    """One device in one column."""

    mark: Mark
    digest: str  # the first digits of the digest; the odd one where there is one, "" where there is none


Row = Mapping[Column, Square]


def all_columns(record: SweepRecord) -> list[Column]:
    """Every planned column, outputs of one case and seed side by side."""
    request = record.request
    return [
        Column(case, seed, output)
        for case in request.cases
        for seed in request.seeds
        for output in record.outputs.get(case, [])
    ]


def swept(record: SweepRecord) -> list[str]:
    """Every planned device, and those beside the plan that looked in place of one."""
    return list(dict.fromkeys([*record.planned, *(cell.device for cell in record.cells)]))


def matrix(record: SweepRecord) -> dict[str, dict[Column, Square]]:
    """Device → column → square, for every swept device and planned column."""
    table, fleet = columns(record.cells), Fleet.of(record.devices)
    strangers = {
        (device, place.case)
        for finding in record.findings
        if finding.kind is Kind.FARM
        for place in finding.places
        if place.seed is None
        for device in finding.devices
    }
    failed = {(cell.device, cell.case, cell.seed) for cell in record.cells if cell.failure is not None}
    rows: dict[str, dict[Column, Square]] = {device: {} for device in swept(record)}
    for column in all_columns(record):
        digests = table.get(column, {})
        votes = {device: repeats for device, repeats in digests.items() if (device, column.case) not in strangers}
        racing = set(self_disagreeing(votes))
        steady = {device: repeats for device, repeats in votes.items() if device not in racing}
        right = majority(steady, fleet.cards)
        for device in rows:
            square = _square(digests, device, right)
            if (device, column.case) in strangers:
                square = Square(Mark.OTHER_PROGRAM, square.digest)
            elif (device, column.case, column.seed) in failed:
                square = Square(Mark.FAILED, square.digest)
            rows[device][column] = square
    return rows


def by_output(record: SweepRecord) -> tuple[list[tuple[str, str]], dict[str, list[Square]]]:
    """The matrix with the seeds of a case folded together: its (case, output) columns, and each device's squares.

    Of several seeds the gravest is shown.
    """
    heads = [(case, output) for case in record.request.cases for output in record.outputs.get(case, [])]
    rows = matrix(record)
    return heads, {
        device: [
            gravest([square for column, square in row.items() if (column.case, column.output) == head])
            for head in heads
        ]
        for device, row in rows.items()
    }


def gravest(squares: Sequence[Square]) -> Square:
    """The square that most needs to be looked at; the first of equals."""
    return min(squares, key=lambda square: _GRAVITY[square.mark])


def conspicuous(squares: Sequence[Square]) -> bool:
    """Whether anything in a row is not as it should be."""
    return any(square.mark is not Mark.AGREES for square in squares)


def _square(digests: Digests, device: str, right: str | None) -> Square:
    repeats = digests.get(device, {})
    if not repeats:
        return Square(Mark.MISSING, "")
    odd = [digest for digest in repeats.values() if digest != right]
    shown = (odd or list(repeats.values()))[0][:SHORT]
    if len(set(repeats.values())) > 1:
        return Square(Mark.UNSTEADY, shown)
    if right is None:
        return Square(Mark.NO_MAJORITY, shown)
    return Square(Mark.ODD if odd else Mark.AGREES, shown)
