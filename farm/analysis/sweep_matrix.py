"""The matrix of a sweep: a row for each device, a column for each output of each (case, seed). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from farm.gates.votes import Digests
from farm.model.run import DeviceRecord
from farm.model.sweep import Cell, FindingPlace


@dataclass(frozen=True, slots=True)
class Column:
    """One output of one case with the inputs of one seed: everybody should have the same bits."""

    case: str
    seed: int
    output: str

    @property
    def place(self) -> FindingPlace:
        """As a finding names it."""
        return FindingPlace(case=self.case, seed=self.seed, output=self.output)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The swept devices as witnesses: what they share, they cannot vouch for each other about."""

    cards: Mapping[str, str]  # device → its physical card
    nodes: Mapping[str, str]  # device → its node
    socs: Mapping[str, str]  # device → its chip

    @classmethod
    def of(cls, devices: Iterable[DeviceRecord]) -> Fleet:
        """The fleet of these devices; one without a card is a card of its own."""
        held = list(devices)
        return cls(
            cards={each.id: f"{each.node}/{each.card}" if each.card else each.id for each in held},
            nodes={each.id: each.node for each in held},
            socs={each.id: each.soc for each in held},
        )

    def card(self, device: str) -> str:
        """The card of `device`."""
        return self.cards.get(device, device)

    def node(self, device: str) -> str:
        """The node of `device`."""
        return self.nodes.get(device, device.rpartition("/")[0])


def columns(cells: Iterable[Cell]) -> dict[Column, Digests]:
    """The digests of every column, in the order the cells have them; failed cells have none."""
    found: dict[Column, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for cell in cells:
        for output, digest in cell.sha256.items():
            found[Column(cell.case, cell.seed, output)][cell.device][cell.repeat] = digest
    return {column: dict(digests) for column, digests in found.items()}
