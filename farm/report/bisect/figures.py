"""What every report of a bisect says, worded once."""

from __future__ import annotations

from pathlib import Path

from farm.model.bisect import BisectRecord, CommitOutcome
from farm.text import counted


def effort(record: BisectRecord) -> str:
    """Rounds and minutes, against what one device would need; what is computed is called so."""
    devices = len(record.devices)
    spent = f"{counted(record.rounds, 'round')} on {counted(devices, 'device')}, {minutes(record.search_s)}"
    if record.serial is None:
        return spent
    serial = record.serial
    computed = f"{serial.probes} × {serial.probe_s:.1f} s a commit = {minutes(serial.total_s)}"
    return f"{spent}; one device after the other: {counted(serial.probes, 'round')}, {computed} (computed)"


def extent(record: BisectRecord) -> str:
    """What was searched."""
    changing = len(record.candidates) - 1
    tested = len({probe.commit for probe in record.probes})
    return f"{counted(record.commits, 'commit')}, {changing} of which change the program; {tested} tested"


def go_on(record: BisectRecord) -> str:
    """The command that searches what is left; "" where nothing is."""
    if record.outcome not in (CommitOutcome.INTERRUPTED, CommitOutcome.ERRORED):
        return ""
    return f"farm bisect --resume {record.bisect_id} --out {Path(record.directory).parent}"


def minutes(seconds: float) -> str:
    """A duration as a person says it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
