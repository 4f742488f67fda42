"""The optional parts of the installation: a package that is missing is reported with the extra that brings it."""

from __future__ import annotations

from collections.abc import Mapping

from farm.errors import UsageError

# Top-level module → the extra of pyproject.toml that installs it.
EXTRA_OF: Mapping[str, str] = {
    **dict.fromkeys(("apscheduler", "fastapi", "githubkit", "hishel", "itsdangerous", "multipart"), "service"),
    **dict.fromkeys(("oauthlib", "prometheus_client", "python_multipart", "starlette", "uvicorn"), "service"),
    "optuna": "tune",
    "pypto": "pypto",
    "psycopg": "postgres",
    "pytest": "test",
    "xdist": "test",
    "apprise": "notify",
}


def remedy(extra: str) -> str:
    """Return how an extra is installed. No index is named: anybody may claim a name that is free there."""
    return f"install the farm with its extra '{extra}' (in a checkout: pip install -e '.[{extra}]')"


class MissingExtraError(UsageError):
    """A package is not installed that an extra brings."""

    def __init__(self, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        super().__init__(f"the Python package '{module}' is not installed; {remedy(extra)}")


def named(error: Exception) -> Exception:
    """Return the error that names the extra, where `error` is of a module that one brings; else `error` itself."""
    if not isinstance(error, ModuleNotFoundError):
        return error
    module = (error.name or "").partition(".")[0]
    return MissingExtraError(module, EXTRA_OF[module]) if module in EXTRA_OF else error
