"""Many devices: planning, leases through Ray, collection, gates, reports, store and the command line.

The names below are the Python API, documented in docs/api.md; they follow semantic versioning. Everything else in this
package may change at any time. A name is imported when it is first asked for, so that `import farm` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farm.api import load, run, run_async, runs
    from farm.errors import CapacityError, FarmError, InfrastructureError, UnknownRunError, UsageError
    from farm.execution.observer import Observer
    from farm.model.priority import Priority
    from farm.model.run import (
        BudgetRecord,
        DeviceRecord,
        Finding,
        GateRecord,
        GateStatus,
        MedianRecord,
        RunRecord,
        RunRequest,
        Verdict,
    )
    from farm.model.selection import Selection, Spread
    from farm.model.timeouts import Timeouts
    from farm.store.row_mapping import RunSummary
    from jobs.records import BuildRecord, Failure, Fault, OutputRecord, ToleranceRecord, TrialRecord, TrialStatus

__version__ = "0.2.0"

_HOMES = {
    "farm.api": ("load", "run", "run_async", "runs"),
    "farm.errors": ("CapacityError", "FarmError", "InfrastructureError", "UnknownRunError", "UsageError"),
    "farm.model.priority": ("Priority",),
    "farm.execution.observer": ("Observer",),
    "farm.model.run": (
        "BudgetRecord",
        "DeviceRecord",
        "Finding",
        "GateRecord",
        "GateStatus",
        "MedianRecord",
        "RunRecord",
        "RunRequest",
        "Verdict",
    ),
    "farm.store.row_mapping": ("RunSummary",),
    "farm.model.selection": ("Selection", "Spread"),
    "farm.model.timeouts": ("Timeouts",),
    "jobs.records": (
        "BuildRecord",
        "Failure",
        "Fault",
        "OutputRecord",
        "ToleranceRecord",
        "TrialRecord",
        "TrialStatus",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BudgetRecord",
    "BuildRecord",
    "CapacityError",
    "DeviceRecord",
    "Failure",
    "FarmError",
    "Fault",
    "Finding",
    "GateRecord",
    "GateStatus",
    "InfrastructureError",
    "MedianRecord",
    "Observer",
    "OutputRecord",
    "Priority",
    "RunRecord",
    "RunRequest",
    "RunSummary",
    "Selection",
    "Spread",
    "Timeouts",
    "ToleranceRecord",
    "TrialRecord",
    "TrialStatus",
    "UnknownRunError",
    "UsageError",
    "Verdict",
    "__version__",
    "load",
    "run",
    "run_async",
    "runs",
]


if not TYPE_CHECKING:  # a type checker is to refuse a misspelt name, not to take it for anything

    def __getattr__(name: str) -> Any:
        """A name of the API, from where it is defined."""
        if name not in _HOME_OF:
            raise AttributeError(f"module 'farm' has no attribute '{name}'")
        found = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """The API, for completion in a shell or a notebook."""
    return sorted({*globals(), *__all__})
