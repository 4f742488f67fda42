"""Fixtures for tests of jobs."""

from __future__ import annotations

import pytest

from jobs.records import TrialRequest


@pytest.fixture
def request_small() -> TrialRequest:
    """The small kernel on its default case."""
    return TrialRequest(kernel="small", case="small", platform="quick", input_set="integers")
