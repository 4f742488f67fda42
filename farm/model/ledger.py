"""What a tuning ledger holds."""

from __future__ import annotations

from pydantic import Field

from jobs.records import Record, TimeUs
from kernel.clock import Clock


class LedgerStageTime(Record):
    """One stage of one point: its tasks and their time over all cores."""

    tasks: int
    total_us: float


class LedgerEntry(Record):
    """One measured point of the ledger. All µs are of the ledger's clock."""

    label: str
    tuning: dict[str, int | float | bool | str]  # every knob in force; empty where a guard refused it
    fingerprint: str  # of the compiled program
    wall_us: TimeUs
    disqualified: str  # why it does not count, "" where it does
    stages: dict[str, LedgerStageTime] = Field(default_factory=dict)


class StepEntry(Record):
    """One step: the kernel with all steps up to it, and the best kernel without it."""

    name: str
    summary: str
    knobs: list[str]
    so_far: LedgerEntry
    delta_us: float | None  # so_far against the step before; negative is faster
    without: LedgerEntry
    loss_us: float | None  # what the best kernel loses without this step; positive is slower


class LedgerRecord(Record):
    """The whole history of one case on one platform."""

    schema_version: str = "1.0"
    kernel: str
    case: str
    platform: str
    clock: Clock
    commit: str
    toolchain: dict[str, str]
    untuned: LedgerEntry
    steps: list[StepEntry]
