"""The order in which runs may ask for devices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.leasing.device_queue import STALE_S, STEP_UP_S, DeviceQueue, QueueEntry
from farm.model.priority import Priority

PRIORITIES = st.sampled_from(list(Priority))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ticket(name: str, priority: Priority = Priority.INTERACTIVE, waited_s: float = 0.0) -> QueueEntry:
    return QueueEntry(name, priority, 3, waited_s, name)


def names(tickets: list[QueueEntry]) -> list[str]:
    return [each.id for each in tickets]


def test_the_better_priority_goes_first_whoever_came_first() -> None:
    turnstile = DeviceQueue()
    assert turnstile.ask(ticket("night", Priority.NIGHTLY, 50)) == []
    assert turnstile.ask(ticket("merge", Priority.MERGE_QUEUE, 1)) == []
    assert names(turnstile.ask(ticket("pull", Priority.PULL_REQUEST, 2))) == ["merge"]
    assert names(turnstile.ask(ticket("night", Priority.NIGHTLY, 51))) == ["merge", "pull"]


def test_among_equals_whoever_has_waited_longest_goes_first() -> None:
    turnstile = DeviceQueue()
    turnstile.ask(ticket("late", waited_s=1))
    assert turnstile.ask(ticket("early", waited_s=9)) == []
    assert names(turnstile.line()) == ["early", "late"]


def test_nobody_waits_for_ever_behind_a_busy_merge_queue() -> None:
    turnstile = DeviceQueue()
    old = ticket("night", Priority.NIGHTLY, 3 * STEP_UP_S + 1)
    turnstile.ask(ticket("merge", Priority.MERGE_QUEUE, 0))

    assert turnstile.ask(old) == []


def test_who_stops_asking_is_forgotten_and_who_asks_on_is_not() -> None:
    clock = Clock()
    turnstile = DeviceQueue(clock)
    turnstile.ask(ticket("killed", Priority.MERGE_QUEUE))
    turnstile.ask(ticket("alive"))
    clock.now = STALE_S - 1
    turnstile.ask(ticket("alive", waited_s=clock.now))
    clock.now = STALE_S + 1

    assert names(turnstile.line()) == ["alive"]


def test_leaving_twice_is_no_matter() -> None:
    turnstile = DeviceQueue()
    turnstile.ask(ticket("one"))
    turnstile.leave("one")
    turnstile.leave("one")
    assert turnstile.line() == []


def test_a_nightly_yields_to_priorities_and_not_to_patience() -> None:
    turnstile = DeviceQueue()
    turnstile.ask(ticket("old-night", Priority.NIGHTLY, 100 * STEP_UP_S))
    assert turnstile.before(Priority.NIGHTLY) == []
    turnstile.ask(ticket("person", Priority.INTERACTIVE))
    assert names(turnstile.before(Priority.NIGHTLY)) == ["person"]
    assert turnstile.before(Priority.INTERACTIVE) == []


@given(st.lists(st.tuples(PRIORITIES, st.floats(0, 1e6)), min_size=1, max_size=12))
def test_exactly_one_of_those_who_ask_has_its_turn(waiting: list[tuple[Priority, float]]) -> None:
    turnstile = DeviceQueue(lambda: 0.0)
    tickets = [ticket(f"t{number}", priority, waited) for number, (priority, waited) in enumerate(waiting)]
    for each in tickets:
        turnstile.ask(each)

    assert sum(turnstile.ask(each) == [] for each in tickets) == 1
    assert sorted(len(turnstile.ask(each)) for each in tickets) == list(range(len(tickets)))


@given(PRIORITIES, st.lists(PRIORITIES, max_size=10))
def test_after_three_steps_up_only_older_tickets_are_ahead(mine: Priority, others: list[Priority]) -> None:
    turnstile = DeviceQueue(lambda: 0.0)
    for number, priority in enumerate(others):
        turnstile.ask(ticket(f"new{number}", priority, 1.0))
    assert turnstile.ask(ticket("old", mine, 4 * STEP_UP_S)) == []
