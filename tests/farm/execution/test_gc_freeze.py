"""The heap of a loop over trials: left alone by the collector while it runs, and back as it was afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from farm.execution import gc_freeze


class _Knot:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def _knot() -> weakref.ref[_Knot]:
    return weakref.ref(_Knot())


@pytest.fixture(autouse=True)
def _thawed() -> None:
    gc.unfreeze()


def test_what_was_alive_before_is_not_walked_and_comes_back() -> None:
    before = _knot()

    with gc_freeze.frozen():
        assert gc.get_freeze_count() > 0
        gc.collect()
        assert before() is not None, "walked although frozen"

    assert gc.get_freeze_count() == 0
    gc.collect()
    assert before() is None


def test_garbage_made_meanwhile_is_still_collected() -> None:
    with gc_freeze.frozen():
        meanwhile = _knot()
        gc.collect()

        assert meanwhile() is None


def test_an_error_thaws_the_heap() -> None:
    with pytest.raises(KeyboardInterrupt), gc_freeze.frozen():
        raise KeyboardInterrupt

    assert gc.get_freeze_count() == 0


def test_a_heap_frozen_by_somebody_else_stays_frozen() -> None:
    gc.freeze()

    with gc_freeze.frozen():
        assert gc.get_freeze_count() > 0

    assert gc.get_freeze_count() > 0
    gc.unfreeze()
