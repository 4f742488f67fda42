"""Memory that the size of no process shows: each way to hold it ends at the limit, with a cgroup or without."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jobs.sandbox import bubblewrap
from tests.jobs.sandbox.confined import LIMITS, tried

pytestmark = pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)

_SHARED = """
size = 128 << 20
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
place = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, FLAGS, FILE, 0)
if place == ctypes.c_void_p(-1).value:
    raise OSError(ctypes.get_errno(), "refused")
for part in range(0, size, 8 << 20):
    ctypes.memset(place + part, 1, 8 << 20)
    libc.munmap(place + part, (8 << 20) - 4096)
holds()
"""
_PIPES = """
for _ in range(3):
    if os.fork() == 0:
        break
pairs = []
try:
    while True:
        pairs.append(os.pipe())
        os.set_blocking(pairs[-1][1], False)
        os.write(pairs[-1][1], bytes(65536))
except OSError:
    holds()
"""
_SOCKETS = """
pairs = []
try:
    while True:
        pairs.append(socket.socketpair())
        pairs[-1][0].setblocking(False)
        try:
            while True:
                pairs[-1][0].send(bytes(4096))
        except BlockingIOError:
            pass
except OSError:
    holds()
"""
# Nobody has the full sockets open: they are on their way through another one.
_SOCKETS_ON_THE_WAY = """
way, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
way.setblocking(False)
try:
    while True:
        here, there = socket.socketpair()
        here.setblocking(False)
        try:
            while True:
                here.send(bytes(4096))
        except BlockingIOError:
            pass
        socket.send_fds(way, [b"x"], [there.fileno()])
        here.close()
        there.close()
        if len(os.listdir("/proc/self/fd")) > 20:
            break
except OSError:
    holds()
"""
_CONNECTIONS = """
listener = socket.create_server(("127.0.0.1", 0))
clients = []
try:
    while len(clients) < 100:
        clients.append(socket.create_connection(listener.getsockname()))
        clients[-1].setblocking(False)
        clients[-1].send(bytes(1 << 20))
except OSError:
    pass
holds()
"""
_FILES = """
with open("/tmp/held", "wb") as file:
    for _ in range(90):
        file.write(bytes(1 << 20))
holds()
"""
_EMPTY_FILES = """
for number in range(200_000):
    os.close(os.open(f"/tmp/{number}", os.O_CREAT))
holds()
"""
_SWEPT = """
size = 96 << 20
held = bytearray(size)
holds()
"""


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(_SWEPT, id="memory of its own"),
        pytest.param(_PIPES, id="pipes"),
        pytest.param(_SOCKETS, id="sockets"),
        pytest.param(_SOCKETS_ON_THE_WAY, id="sockets on their way"),
        pytest.param(_CONNECTIONS, id="connections"),
        pytest.param(_FILES, id="files in memory"),
        pytest.param(_EMPTY_FILES, id="empty files in memory"),
    ],
)
def test_what_it_holds_counts(attack: str, tmp_path: Path) -> None:
    found = tried(attack, tmp_path)

    assert found.ended.over == "more than 67 MB of memory", found


@pytest.mark.parametrize(
    ("flags", "file"),
    [("mmap.MAP_SHARED | mmap.MAP_ANONYMOUS", "-1"), ("mmap.MAP_SHARED", "os.open('/dev/zero', os.O_RDWR)")],
    ids=["without a file", "of zeros"],
)
def test_shared_memory_that_it_has_unmapped_counts_or_is_refused(flags: str, file: str, tmp_path: Path) -> None:
    found = tried(_SHARED.replace("FLAGS", flags).replace("FILE", file), tmp_path)

    assert found.ended.over == "more than 67 MB of memory" or "refused" in found.printed, found
    assert "holding" not in found.printed or found.ended.over


def test_zeros_can_be_read(tmp_path: Path) -> None:
    assert tried("print(open('/dev/zero', 'rb').read(3))", tmp_path).printed == f"{bytes(3)!r}\n"


def test_a_file_in_memory_counts_where_no_filter_refuses_it(tmp_path: Path) -> None:
    attack = """
    held = os.memfd_create("held")
    for _ in range(96):
        os.write(held, bytes(1 << 20))
    holds()
    """

    assert tried(attack, tmp_path, filtered=False).ended.over == "more than 67 MB of memory"


def test_what_is_below_the_limit_runs_to_its_end(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, memory_bytes=256 << 20)
    honest = """
    pairs = [os.pipe() for _ in range(50)] + [socket.socketpair() for _ in range(20)]
    shared = open("/dev/shm/shared", "w+b")
    shared.write(bytes(16 << 20))
    shared.flush()
    mapped = mmap.mmap(shared.fileno(), 16 << 20)
    mapped[:] = bytes(len(mapped))
    open("/tmp/file", "wb").write(bytes(16 << 20))
    time.sleep(0.5)
    print("done")
    """

    found = tried(honest, tmp_path, limits)

    assert (found.ended.code, found.ended.over, found.printed) == (0, "", "done\n"), found


def test_each_process_has_limits_on_processor_time_and_open_files(tmp_path: Path) -> None:
    ask = "print([resource.getrlimit(each) for each in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)])"
    cpu, files = LIMITS.cpu_s, LIMITS.open_files

    assert tried(ask, tmp_path).printed == f"[({cpu}, {cpu}), ({files}, {files})]\n"


@pytest.mark.parametrize("where", ["/tmp", "/dev/shm"])
def test_a_file_system_in_memory_has_a_size(where: str, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, memory_bytes=2 << 30)
    attack = f"""
    with open("{where}/large", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
    """

    assert "No space left on device" in tried(attack, tmp_path, limits).printed


@pytest.mark.parametrize("where", ["/", "/dev", "/run", "/run/farm", "/usr", "/etc"])
def test_no_other_directory_takes_files(where: str, tmp_path: Path) -> None:
    found = tried(f"open('{where}/planted', 'wb')", tmp_path)

    assert (
        "Read-only file system" in found.printed or "Permission denied" in found.printed or "No such" in found.printed
    )
