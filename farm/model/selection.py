"""Which devices of a cluster a run may be put on."""

from __future__ import annotations

import enum

from pydantic import Field

from jobs.records import Record


class Spread(str, enum.Enum):
    """How devices are placed over nodes."""

    ANY = "any"  # over many nodes where that is possible
    NODES = "nodes"  # each on a node of its own, or not at all


class Selection(Record):
    """What a device must be; the default takes any."""

    spread: Spread = Spread.ANY
    soc: str | None = None  # value of the Ray node label "soc"
    nodes: list[str] = Field(default_factory=list)  # node names; empty for all
    devices: list[str] = Field(default_factory=list)  # device ids, "node/index"; empty for all
