"""Processes that start with something loaded: forks of one process, or, where that has threads, that process itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.warm.client import WarmProcessError, WarmServer
from tests.fakes import warm_work

WORK = warm_work.__name__

Start = Callable[[Callable[[], Any]], WarmServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Makes servers, and ends them."""
    made: list[WarmServer] = []

    def server(load: Callable[[], Any]) -> WarmServer:
        made.append(WarmServer(["json"], load, tmp_path / "printed"))
        return made[-1]

    yield server
    for each in made:
        each.stop()


def test_each_process_is_a_new_one_with_the_same_thing_loaded(start: Start) -> None:
    server = start(warm_work.load)

    first, second = server.process(WORK, "echo", ["a"]), server.process(WORK, "echo", ["b"])
    told = [first.connection.recv(), second.connection.recv()]

    assert [each["word"] for each in told] == ["a", "b"]
    assert [each["pid"] for each in told] == [first.pid, second.pid]
    assert len({first.pid, second.pid, told[0]["loaded_in"], os.getpid()}) == 4
    assert told[0]["loaded_in"] == told[1]["loaded_in"]
    assert (first.end(), second.end()) == (0, 0)


def test_a_process_of_threads_is_used_up_in_place_of_being_forked(start: Start) -> None:
    server = start(warm_work.load_with_thread)

    first, second = server.process(WORK, "echo", ["a"]), server.process(WORK, "echo", ["b"])
    told = [first.connection.recv(), second.connection.recv()]

    assert [each["pid"] for each in told] == [each["loaded_in"] for each in told] == [first.pid, second.pid]
    assert first.pid != second.pid
    first.end()
    second.end()
    assert not psutil.pid_exists(first.pid)


@pytest.mark.parametrize("load", [warm_work.load, warm_work.load_with_thread])
@pytest.mark.parametrize(("work", "code"), [("crash", -signal.SIGSEGV), ("fail", 1)])
def test_how_a_process_ended_is_reported(start: Start, load: Callable[[], Any], work: str, code: int) -> None:
    process = start(load).process(WORK, work)

    assert process.connection.poll(30)
    assert process.end() == code


def test_a_process_that_hangs_is_killed(start: Start) -> None:
    process = start(warm_work.load).process(WORK, "hang")
    process.connection.recv()

    assert process.end() == -signal.SIGKILL


def test_the_end_of_the_server_ends_its_processes_and_the_next_starts_it_again(start: Start) -> None:
    server = start(warm_work.load)
    hanging = server.process(WORK, "hang")
    running = psutil.Process(hanging.connection.recv())

    server.stop()
    server.stop()

    assert running.wait(30) is None
    assert hanging.end() == -signal.SIGKILL
    again = server.process(WORK, "echo", ["c"])
    assert again.connection.recv()["word"] == "c"
    again.end()


def test_what_cannot_be_loaded_is_reported_in_one_line(start: Start) -> None:
    with pytest.raises(WarmProcessError, match="did not start: ImportError: no simulator here"):
        start(warm_work.load_nothing).process(WORK, "echo", ["a"])


def test_a_server_that_was_killed_is_started_again(start: Start) -> None:
    server = start(warm_work.load)
    first = server.process(WORK, "echo", ["a"])
    psutil.Process(first.connection.recv()["loaded_in"]).kill()

    second = None
    for _ in range(2):  # whoever asks first learns of its end
        try:
            second = server.process(WORK, "echo", ["b"])
        except WarmProcessError:
            continue
    assert second is not None
    assert second.connection.recv()["word"] == "b"
    second.end()


def test_only_a_file_that_was_loaded_needs_a_new_start(start: Start, tmp_path: Path) -> None:
    server = start(warm_work.load)
    loaded, other = Path(warm_work.__file__), tmp_path / "other.py"

    assert not server.has_loaded([loaded])
    server.process(WORK, "echo", ["a"]).end()
    assert server.has_loaded([other, loaded])
    assert not server.has_loaded([other])
