"""Where a service keeps what is neither in its database nor in its configuration, below `$FARM_HOME`."""

from __future__ import annotations

from pathlib import Path

from farm import paths


def mirror(forge: str, repository: str) -> Path:
    """The bare mirror of a repository; forges compare names without regard to case."""
    return paths.home() / "service" / "mirrors" / forge / f"{repository.lower()}.git"


def runs() -> Path:
    """What `--out` is to the runs of jobs."""
    return paths.home() / "service" / "runs"


def sweeps() -> Path:
    """Where the directories of scheduled sweeps are."""
    return paths.home() / "service" / "sweeps"


def sweep(job_id: str) -> Path:
    """The `--out` directory of a job's sweep. Each job has its own, so that a later process can resume its sweep."""
    return sweeps() / job_id


def job_log(job_id: str) -> Path:
    """Return the log file of all runs of a job."""
    return paths.home() / "service" / "logs" / f"{job_id}.log"
