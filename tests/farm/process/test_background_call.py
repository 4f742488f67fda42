"""A call in the background ends with its result or its error, and can be left."""

from __future__ import annotations

import threading

import pytest

from farm.process.background_call import BackgroundCall


def test_it_returns_what_the_call_returns_and_raises_what_it_raises() -> None:
    returned, raised = BackgroundCall("sums", divmod, 7, 2), BackgroundCall("sums", divmod, 7, 0)

    assert returned.ended(10)
    assert returned.result() == (3, 1)
    assert raised.ended(10)
    with pytest.raises(ZeroDivisionError):
        raised.result()


def test_one_that_does_not_end_can_be_left() -> None:
    go = threading.Event()
    waiting = BackgroundCall("waits", go.wait)

    assert not waiting.ended(0.05)
    assert waiting.under_way()

    go.set()
    assert waiting.ended(10)
    assert waiting.result() is True
