"""Fixtures for tests of jobs."""

from __future__ import annotations

import pytest

from jobs.records import Request


@pytest.fixture
def request_small() -> Request:
    """The small kernel on its default case."""
    return Request(kernel="small", case="small", platform="quick", input_set="integers")
