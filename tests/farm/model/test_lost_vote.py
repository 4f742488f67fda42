"""One kernel cannot tell a card that computes wrongly from a kernel that depends on the device; two kernels can."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from farm.model.device_health import DeviceState, EventKind, Health, HealthEvent, after
from farm.model.lost_vote import lost_vote
from farm.timestamps import now


@dataclass(frozen=True)
class Logged:
    kind: EventKind
    reason: str = ""


def lost(kernel: str, *history: Logged, unsteady: bool = False, installed: bool = True) -> HealthEvent:
    return lost_vote(history, "n0/1", "a2a3", now(), kernel, "r", unsteady=unsteady, installed=installed)


def logged(event: HealthEvent) -> Logged:
    return Logged(event.kind, event.reason)


def test_the_first_lost_vote_makes_a_device_suspect_and_names_both_explanations() -> None:
    event = lost("matmul")

    assert event.kind is EventKind.CLAIMED
    assert "either the card computes wrongly or the kernel depends on the device" in event.reason
    assert after(Health(), event).state is DeviceState.SUSPECT


def test_the_same_kernel_again_decides_nothing() -> None:
    assert lost("matmul", logged(lost("matmul"))).kind is EventKind.CLAIMED


def test_a_second_kernel_shows_that_it_is_the_card() -> None:
    event = lost("rope", Logged(EventKind.TRIAL_OK), logged(lost("matmul")))

    assert event.kind is EventKind.VOTE_LOST
    assert "rope; and before on matmul" in event.reason
    assert after(Health(), event).state is DeviceState.QUARANTINED


@pytest.mark.parametrize("forgotten", [EventKind.RELEASED, EventKind.CARD_CHANGED])
def test_what_was_before_a_release_or_of_another_card_does_not_count(forgotten: EventKind) -> None:
    assert lost("rope", Logged(forgotten), logged(lost("matmul"))).kind is EventKind.CLAIMED


def test_a_commits_program_proves_nothing_and_no_other_claim_counts_as_a_vote() -> None:
    of_a_commit = logged(lost("matmul", installed=False))

    assert of_a_commit.kind is EventKind.CLAIMED
    assert lost("rope", of_a_commit, Logged(EventKind.CLAIMED, "a hang")).kind is EventKind.CLAIMED
    assert lost("rope", logged(lost("matmul")), installed=False).kind is EventKind.CLAIMED


def test_a_device_that_disagrees_with_itself_alone_is_taken_out_at_once() -> None:
    assert lost("matmul", unsteady=True).kind is EventKind.VOTE_LOST
