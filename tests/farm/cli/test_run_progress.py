"""What a run says where nobody watches a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from farm.cli.run_progress import PlainView
from farm.leasing.device_queue import QueueEntry
from farm.model.priority import Priority
from farm.text import ordinal


def entry(name: str) -> QueueEntry:
    return QueueEntry(name, Priority.NIGHTLY, 1, 0.0, "somebody")


def test_a_run_that_waits_says_its_place_when_it_moves_and_once_a_minute() -> None:
    written = io.StringIO()
    view = PlainView(Console(file=written, width=200))
    view.preparing("leasing 3 devices")
    for ahead, waited_s in (("ab", 0.0), ("ab", 5.0), ("b", 10.0), ("b", 65.0), ("b", 71.0), ("", 80.0)):
        view.waiting([entry(name) for name in ahead], waited_s)

    assert written.getvalue().splitlines() == [
        "leasing 3 devices",
        "leasing 3 devices: waits, 3rd in the queue (0 s)",
        "leasing 3 devices: waits, 2nd in the queue (10 s)",
        "leasing 3 devices: waits, 2nd in the queue (71 s)",
        "leasing 3 devices: waits until enough are free, first in the queue (80 s)",
    ]


@pytest.mark.parametrize(("number", "said"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (22, "22nd")])
def test_places_are_said_as_people_say_them(number: int, said: str) -> None:
    assert ordinal(number) == said
