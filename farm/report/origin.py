"""Where a run's program came from, in sentences that every report shares; nothing for the installed program."""

from __future__ import annotations

from farm.record import RunRecord


def remarks(record: RunRecord) -> list[str]:
    """What a reader must know of a program from a commit: changed rules first, then what was not isolated."""
    if record.source is None:
        return []
    found = []
    if record.source.rule_changes:
        paths = ", ".join(record.source.rule_changes)
        found.append(f"changes the rules: {paths}; judged by the installed rules")
    lacking = sorted({each.isolation for each in record.devices if each.isolation.startswith("none")})
    found += [f"the program was not isolated: {each.removeprefix('none: ')}" for each in lacking]
    return found
