"""What a machine says of the means beside bubblewrap that it has, and what it starts programs with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.sandbox import bubblewrap, cgroup, held_memory, system_calls
from jobs.sandbox.bubblewrap import View
from jobs.sandbox.cgroup import Subtree

WORKS = bubblewrap.isolation()
pytestmark = pytest.mark.skipif(not WORKS.bubblewrap, reason=WORKS.lacks)
CACHED = [each for each in vars(bubblewrap).values() if hasattr(each, "cache_clear")]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What has been found out once is found out again."""
    for each in CACHED:
        each.cache_clear()
    yield
    for each in CACHED:
        each.cache_clear()


@pytest.fixture
def delegated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A subtree that somebody has left to the farm."""
    monkeypatch.setattr(cgroup, "find", lambda _: Subtree(tmp_path, ""))
    return tmp_path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without libseccomp and without a cgroup, where this process is not root of the machine."""
    monkeypatch.setattr(cgroup, "find", lambda _: Subtree(None, "no cgroup is delegated to the farm"))
    monkeypatch.setattr(system_calls, "compiled", lambda **_: (b"", "libseccomp.so.2 cannot be loaded"))
    monkeypatch.setattr(held_memory, "sees_shared_memory", lambda *_: False)


def test_a_machine_with_everything_has_no_gap(delegated: Path) -> None:
    found, launch = bubblewrap.isolation(), bubblewrap.launch(["true"], View())

    assert (str(found), found.gaps) == ("bubblewrap", ())
    assert (launch.subtree, launch.filter) == (delegated, system_calls.compiled()[0])
    assert launch.filter


@pytest.mark.usefixtures("bare")
def test_each_gap_is_named_with_what_it_leaves_and_its_remedy() -> None:
    found = bubblewrap.isolation()

    assert str(found) == (
        "bubblewrap, without a filter of system calls (libseccomp.so.2 cannot be loaded), "
        "without a cgroup (no cgroup is delegated to the farm)"
    )
    unfiltered, ungrouped = found.gaps
    assert unfiltered.remedy == "apt-get install libseccomp2"
    assert "ten times a second, shared mappings without a file are refused" in ungrouped.leaves
    assert "Delegate=yes" in ungrouped.remedy and "FARM_CGROUP" in ungrouped.remedy
    assert bubblewrap.launch(["true"], View()).filter == b""


def test_a_bubblewrap_that_leaves_namespaces_open_says_why(
    delegated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "bwrap"
    old.write_text(
        "#!/bin/sh\n"
        'case " $* " in *" --disable-userns "*) echo "bwrap: Unknown option --disable-userns" >&2; exit 1;; esac\n'
    )
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "getuid", lambda: 1000)

    (gap,) = bubblewrap.isolation().gaps

    assert (gap.means, gap.why) == ("--disable-userns", "bwrap: Unknown option --disable-userns")
    assert gap.leaves == "only the filter refuses namespaces"
    assert "--disable-userns" not in bubblewrap.command(["true"], View())
