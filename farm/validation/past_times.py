"""What earlier runs measured, for a run that is about to be judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from farm.analysis.plausible_gain import LandedTime, gains
from farm.model.run import GainRecord, MedianRecord, SourceRequest
from farm.source.git_repository import GitRepository
from farm.source.kernel_identity import recorded_name
from farm.store.engine import StoreError
from farm.validation.state import RunState

_LINE = 100  # commits before the one that is run


def recall(going: RunState, medians: Mapping[str, MedianRecord]) -> None:
    """Have `going` know what its programs took before, and its commit's line."""
    kernel, platform, source = recorded_name(going.request.kernel), going.platform, going.request.source
    if not platform.noisy:
        try:
            going.known_times = going.held.store.program_times(kernel, platform, going.programs_seen())
        except StoreError as error:
            if source is not None:  # an installed program's times nobody forges; its run goes on without
                going.unknown_times = f"what earlier runs measured of its program cannot be read: {error}"
    if source is not None:
        going.gains = _gains(going, kernel, source, medians)


def _gains(
    going: RunState, kernel: str, source: SourceRequest, medians: Mapping[str, MedianRecord]
) -> list[GainRecord]:
    newest = source.base or source.commit
    commits = GitRepository(Path(source.repository)).main_line(newest, _LINE)
    if not source.base:
        commits.remove(source.commit)  # its own time is what is asked about
    try:
        landed = [LandedTime(*each) for each in going.held.store.landed_times(kernel, going.platform, commits)]
    except StoreError:
        landed = []  # the merge base's time of this run is still there, and the least limit holds
    return gains(medians, going.base_trials, landed, going.platform.clock)
