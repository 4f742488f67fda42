"""Sums over a procfs: each object once, and the largest size where the exact one is not to be read."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from jobs.sandbox.held_memory import held, sees_shared_memory

EVERYTHING = "000001ffffffffff"
NONE_OF_SHARED = "000001ffffdfffff"  # without CAP_SYS_ADMIN
INITIAL = "         0          0 4294967295\n"
PIPE = 16 * resource.getpagesize()


@pytest.mark.parametrize(
    ("capabilities", "uid_map", "sees"),
    [
        (EVERYTHING, INITIAL, True),
        (NONE_OF_SHARED, INITIAL, False),
        ("0000000000000000", INITIAL, False),
        (EVERYTHING, "         0       1000          1\n", False),
    ],
    ids=["root", "root of a container", "a user", "root of a user namespace"],
)
def test_only_root_of_the_machine_sees_what_shared_mappings_hold(capabilities: str, uid_map: str, sees: bool) -> None:
    assert sees_shared_memory(f"Name:\tfarm\nCapEff:\t{capabilities}\n", uid_map) is sees


def process(proc: Path, pid: int, status: str = "", files: tuple[str, ...] = (), maps: str = "") -> None:
    """A process as procfs shows it."""
    table = proc / str(pid) / "task" / str(pid) / "fd"
    table.mkdir(parents=True)
    (proc / str(pid) / "status").write_text(status)
    (proc / str(pid) / "maps").write_text(maps)
    for number, target in enumerate(files):
        (table / str(number)).symlink_to(target)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A procfs without processes."""
    for name, value in (
        ("fs/pipe-max-size", "1048576"),
        ("net/core/wmem_default", "200"),
        ("net/core/wmem_max", "900"),
    ):
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    return tmp_path


def test_what_swap_and_page_tables_hold_counts_and_shared_pages_do_not_count_twice(proc: Path) -> None:
    status = "RssAnon:\t 100 kB\nRssFile:\t 10 kB\nRssShmem:\t 5000 kB\nVmSwap:\t 20 kB\nVmPTE:\t 3 kB\n"
    process(proc, 7, status + "HugetlbPages:\t 4 kB\n")

    assert held([7], (), filtered=True, proc=proc) == 137 * 1024


def test_a_pipe_and_a_socket_of_two_processes_count_once_and_in_full(proc: Path) -> None:
    for pid in (7, 8):
        process(proc, pid, files=("pipe:[1]", "pipe:[2]", "socket:[3]", "/dev/null"))

    assert held([7, 8], (), filtered=True, proc=proc) == 2 * PIPE + 2 * 200
    assert held([7, 8], (), filtered=False, proc=proc) == 2 * 1048576 + 2 * 900


def test_threads_with_files_of_their_own_count_where_no_filter_refuses_them(proc: Path) -> None:
    process(proc, 7, files=("pipe:[1]",))
    other = proc / "7" / "task" / "9" / "fd"
    other.mkdir(parents=True)
    (other / "0").symlink_to("pipe:[2]")

    assert held([7], (), filtered=False, proc=proc) == 2 * 1048576
    assert held([7], (), filtered=True, proc=proc) == PIPE


def test_files_count_where_the_main_thread_has_ended(proc: Path) -> None:
    process(proc, 7)
    other = proc / "7" / "task" / "9" / "fd"
    other.mkdir(parents=True)
    (other / "0").symlink_to("pipe:[2]")

    assert held([7], (), filtered=True, proc=proc) == PIPE


def test_a_mapping_whose_size_is_out_of_sight_counts_as_far_as_it_is_mapped(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "7f0000000000-7f0000100000 rw-s 00000000 00:01 42                    /dev/zero (deleted)\n"
    process(proc, 7, "RssShmem:\t 64 kB\n", maps=line)
    seen = Path.stat

    def refused(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.parent.name == "map_files":
            raise PermissionError(path.name)
        return seen(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refused)

    assert held([7], (), filtered=True, proc=proc) == 64 * 1024


def test_a_process_that_has_ended_holds_nothing() -> None:
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()

    assert held([ended.pid], ("/tmp",), filtered=True) == 0
