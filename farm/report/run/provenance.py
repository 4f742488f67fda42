"""Where a run's program came from: whose rules judged it and what kept it apart; nothing for the installed program.

Pure functions of the record, shared by every report.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from farm.analysis import plausible_gain
from farm.model.run import RunRecord, SourceRecord

# What every report says of a local run.
LOCAL = "Local run: one device that nobody leased, so it says nothing of other devices; no store has it"

_OPEN = "none"  # how `jobs.sandbox.bubblewrap.Isolation` begins where nothing keeps a program apart


@dataclass(frozen=True, slots=True)
class Isolated:
    """What kept the program apart on some of the devices."""

    devices: tuple[str, ...]  # ids
    by: str  # "bubblewrap"; "" where nothing did
    lacks: str  # why nothing did and what that leaves open, one line; "" where something did


def remarks(record: RunRecord) -> list[str]:
    """What a reader must know: a local run; of a commit changed rules, its gain, and what was not isolated."""
    if record.request.local:
        return [LOCAL]
    if record.source is None:
        return []
    found = []
    if record.source.rule_changes:
        found.append(rules(record.source))
    found += [*plausible_gain.implausible(record), *plausible_gain.unknown(record)]
    lacking = sorted({each.lacks for each in isolation(record) if each.lacks})
    return [*found, *(f"the program was not isolated: {lacks}" for lacks in lacking)]


def rules(source: SourceRecord) -> str:
    """Whether the commit brings other rules than those it was judged by."""
    if not source.rule_changes:
        return f"changes no rule of the gate, compared with {against(source)}"
    return f"changes the rules: {', '.join(source.rule_changes)}; judged by the installed rules"


def gain(record: RunRecord) -> str:
    """Whether the commit is faster than its history makes plausible, in one line."""
    told = [*plausible_gain.implausible(record), *plausible_gain.unknown(record)]
    if record.source is None or not record.source.gains:
        return "nothing was measured that could be held against an earlier time"
    return "; ".join(told) or "no faster than its history makes plausible"


def against(source: SourceRecord) -> str:
    """What the commit's rules were compared with, in words."""
    if len(source.compared_with) in (40, 64):
        return f"commit {source.compared_with[:12]}"
    return source.compared_with or "the installation"


def isolation(record: RunRecord) -> list[Isolated]:
    """What kept the program apart, with the devices it did so on; empty where the installed program was run."""
    devices: dict[str, list[str]] = defaultdict(list)
    for held in record.devices:
        if record.source is not None and held.isolation:
            devices[held.isolation].append(held.id)
    return [_isolated(told, tuple(ids)) for told, ids in sorted(devices.items())]


def _isolated(told: str, devices: tuple[str, ...]) -> Isolated:
    kind, _, lacks = told.partition(":")
    return Isolated(devices, "", lacks.strip()) if kind == _OPEN else Isolated(devices, told, "")
