"""What a job may be asked to do beside what `farm.toml` says."""

from __future__ import annotations

from pydantic import Field

from jobs.records import Record

_MOST_DEVICES = 1024


class SweepTerms(Record):
    """How much of the devices' time a sweep may take."""

    seeds: int = Field(ge=1)
    repeats: int = Field(ge=1)
    budget_minutes: float = Field(gt=0)


class JobOptions(Record):
    """What a comment or a schedule asks for beside what `farm.toml` says of the repository."""

    devices: int | None = Field(default=None, ge=1, le=_MOST_DEVICES)  # None: as configured
    cases: list[str] = Field(default_factory=list)  # empty: as configured
    targets: list[str] = Field(default_factory=list)  # names; empty: those that the commit touches
    schedule: str = ""  # name of the [[schedule]] that asked; "" where none did
    sweep: SweepTerms | None = None  # of a sweep
