"""Slots are mended in the background, side by side."""

from __future__ import annotations

import threading
import time

import pytest

from farm.errors import InfrastructureError
from farm.execution.slot_recovery import AT_ONCE, SlotRecovery
from farm.leasing.device_lease import Replaced
from jobs.records import Failure
from tests.waiting import until


def drained(mending: SlotRecovery) -> tuple[dict[int, Replaced | None], dict[int, Failure]]:
    mended: dict[int, Replaced | None] = {}
    lost: dict[int, Failure] = {}

    def empty() -> bool:
        here, gone = mending.done()
        mended.update(here)
        lost.update(gone)
        return not mending

    until(empty)
    return mended, lost


def test_each_slot_comes_back_once_with_what_became_of_it() -> None:
    moved = Replaced(moved=True, unfit="node/0")
    with SlotRecovery() as mending:
        mending.begin(0, lambda slot: moved)
        mending.begin(1, lambda slot: None)
        assert drained(mending) == ({0: moved, 1: None}, {})
        assert mending.done() == ({}, {})


def test_a_slot_that_cannot_be_helped_says_why() -> None:
    def hopeless(slot: int) -> None:
        raise InfrastructureError(f"no device for {slot}")

    with SlotRecovery() as mending:
        mending.begin(4, hopeless)
        _, lost = drained(mending)
    assert [(slot, each.kind, each.message) for slot, each in lost.items()] == [
        (4, "no-replacement", "no device for 4")
    ]


def test_the_devices_of_a_node_are_mended_side_by_side() -> None:
    devices = 16
    meeting = threading.Barrier(devices)

    def together(slot: int) -> None:
        meeting.wait(timeout=60)  # for all the others, who come here only at the same time

    with SlotRecovery() as mending:
        for slot in range(devices):
            mending.begin(slot, together)
        assert len(drained(mending)[0]) == devices


def test_no_more_than_a_number_of_slots_are_mended_at_once() -> None:
    under_way: set[int] = set()
    most: list[int] = []
    go_on = threading.Event()

    def counted(slot: int) -> None:
        under_way.add(slot)
        most.append(len(under_way))
        go_on.wait(60)
        under_way.discard(slot)

    with SlotRecovery() as mending:
        for slot in range(AT_ONCE + 3):
            mending.begin(slot, counted)
        until(lambda: len(most) == AT_ONCE)
        go_on.set()
        assert len(drained(mending)[0]) == AT_ONCE + 3
    assert max(most) == AT_ONCE


def test_leaving_early_does_not_wait_for_what_is_under_way() -> None:
    never = threading.Event()

    def waits(slot: int) -> None:
        never.wait(30)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), SlotRecovery() as mending:
        mending.begin(0, waits)
        raise KeyboardInterrupt
    assert time.monotonic() - begin < 10
    never.set()
