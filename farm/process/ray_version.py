"""Which versions of Ray the farm works with: those with which its use of Ray's private interfaces was tried."""

from __future__ import annotations

from importlib import metadata

from farm.errors import UsageError

# Minor versions. `farm.cluster.ray_internals` needs interfaces that Ray may change in any of them.
TRIED = ("2.55", "2.56", "2.57", "2.58", "2.59", "2.60")


def problem() -> str:
    """Return why the installed Ray cannot be used, in one line; "" where it can, or there is none."""
    try:
        installed = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return ""
    if ".".join(installed.split(".")[:2]) in TRIED:
        return ""
    return (
        f"Ray {installed} is installed, whose private interfaces this farm has not been tried with; "
        f"use {TRIED[0]} to {TRIED[-1]}: pip install 'ray[default]=={TRIED[-1]}.*'"
    )


def require_tried() -> None:
    """Raise `UsageError` where the installed Ray is of another minor version than those that were tried."""
    if found := problem():
        raise UsageError(found)
