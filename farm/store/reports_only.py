"""Writes one run into its reports and into no store, for a run that no history is to know of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from farm.model.device_health import HealthEvent
from farm.model.run import RunRecord
from farm.store.row_mapping import LoggedEvent
from jobs.records import TrialRecord


class ReportsOnly:
    """Follows `RunWriter` in what one run writes."""

    def begin(self, record: RunRecord) -> None:
        """Nothing is kept before the end."""

    def update(self, record: RunRecord) -> None:
        """Nothing is kept before the end."""

    def save_trials(self, run_id: str, trials: Sequence[TrialRecord]) -> None:
        """Nothing is kept before the end."""

    def observe(self, events: Sequence[HealthEvent]) -> None:
        """A device that is nobody else's has no health that anybody asks for."""

    def device_history(self, *of: object) -> list[LoggedEvent]:
        """Nothing is known of earlier runs."""
        return []

    def program_times(self, *of: object) -> dict[str, list[Any]]:
        """Nothing is known of earlier runs."""
        return {}

    def landed_times(self, *of: object) -> list[tuple[str, dict[str, float]]]:
        """Nothing is known of earlier runs."""
        return []

    def conclude(
        self,
        record: RunRecord,
        events: Sequence[HealthEvent],
        write_reports: Callable[[], object],
        directory: Path,
        patience_s: float,
    ) -> None:
        """Write the reports. Raises what that raises."""
        write_reports()
