"""What a job ended with."""

from __future__ import annotations

from dataclasses import dataclass

from ci.forge.protocol import Annotation
from farm.model.run import Verdict


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The outcome of a job."""

    verdict: Verdict
    reason: str  # one line
    report: str = ""  # Markdown; "" where nothing was run
    annotations: tuple[Annotation, ...] = ()
