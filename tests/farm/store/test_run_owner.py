"""When a process counts as gone: never by its number alone."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

from farm.process import identity
from farm.process.identity import ProcessIdentity


def test_the_calling_process_is_not_gone() -> None:
    assert not identity.current().gone()
    assert ProcessIdentity.load(identity.current().dump()) == identity.current()


def test_a_process_that_took_over_the_number_is_another_one() -> None:
    mine = identity.current()

    assert dataclasses.replace(mine, started=mine.started - 1).gone()


def test_a_process_of_an_earlier_boot_is_gone() -> None:
    assert dataclasses.replace(identity.current(), boot="another boot").gone()


@pytest.mark.parametrize("elsewhere", [{"host": "another-host"}, {"namespace": "pid:[1]"}])
def test_a_process_that_cannot_be_seen_is_not_declared_gone(elsewhere: dict[str, str]) -> None:
    assert not dataclasses.replace(identity.current(), pid=2**22 + 1, **elsewhere).gone()  # type: ignore[arg-type]


def test_a_dead_process_is_gone_even_before_its_parent_reaps_it() -> None:
    script = "from farm.process import identity; print(identity.current().dump(), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    theirs = ProcessIdentity.load(child.stdout.readline())
    assert not theirs.gone()

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is a zombie now

    assert theirs.gone()
    child.communicate()
