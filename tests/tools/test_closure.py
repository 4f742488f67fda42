"""What an installation brings is read from what is installed."""

from __future__ import annotations

import importlib.metadata

import pytest

from tools import closure


def test_needs_are_followed_and_extras_only_where_they_are_asked_for() -> None:
    assert {"httpx", "httpcore", "h11", "idna"} <= closure.closure(["httpx>=0.27"])
    assert "pyjwt" not in closure.closure(["githubkit"])
    assert "pyjwt" in closure.closure(["githubkit[auth-app]"])


def test_the_base_has_none_of_what_extras_are_for() -> None:
    found = closure.base()

    assert {"torch", "ray", "click"} <= found
    assert not found & {"fastapi", "uvicorn", "optuna", "pytest", "psycopg", "apprise", "githubkit", "pypto"}
    assert closure.extra("tune") >= {"optuna"} and "torch" not in closure.extra("service")


def test_what_is_not_installed_is_an_error_and_no_smaller_number() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        closure.closure(["no-distribution-of-this-name"])


def test_sizes_are_of_installed_files() -> None:
    assert closure.size(["click"]) > 10_000
    assert closure.size(["click", "rich"]) == closure.size(["click"]) + closure.size(["rich"])
