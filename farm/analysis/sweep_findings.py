"""What a sweep found, in one sentence a finding."""

from __future__ import annotations

from collections.abc import Sequence

from farm.model.sweep import FindingPlace, SweepFinding

_SHOWN = 3  # devices named in a sentence


def sentence(finding: SweepFinding) -> str:
    """A finding on one line: what, where, why."""
    words = finding.kind.value.replace("-", " ")
    on = f" {shown(finding.devices)}" if finding.devices else ""
    unsure = "" if finding.confirmed else ", looked at once"
    return f"{words}{on}{unsure}: {finding.message}{_places(finding.places)}"


def _places(places: Sequence[FindingPlace]) -> str:
    if not places:
        return ""
    first = places[0]
    named = " ".join(
        part for part in (first.case, "" if first.seed is None else f"seed {first.seed}", first.output) if part
    )
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f" ({named}{more})"


def shown(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
