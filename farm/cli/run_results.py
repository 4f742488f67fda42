"""What `farm run` does beyond its reports once a run is over: keep operands for a replay, land times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.model.run import RunRecord


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What the options of `farm run` ask for."""

    kernel: str  # as it was named
    landing: str | None  # the reason of new landed times; None for none
    keep_failing: bool

    def require(self, *, watch: bool, of_commit: bool) -> None:
        """Raise `UsageError` where what is asked for does not go with the rest of the command."""
        if self.landing is not None and not self.landing.strip():
            raise UsageError('--update-budget needs a reason, for example --update-budget "larger tiles"')
        if self.landing is not None and of_commit:
            raise UsageError(
                "--update-budget changes the budget file of the installed kernel, and --source measures a commit; "
                "run the kernel itself"
            )
        if watch and (self.landing is not None or self.keep_failing):
            raise UsageError("--update-budget and --keep-failing are for one run; leave out --watch")

    def __call__(self, record: RunRecord) -> None:
        """Do it. Raises what the two do."""
        if self.keep_failing:
            from farm.cli import failing_operands

            failing_operands.keep(record, self.kernel)
        if self.landing is not None:
            from farm.cli import budget_update
            from jobs.kernel_process.described import kernel_of

            budget_update.update(record, kernel_of(self.kernel).budgets(), self.landing.strip())
