"""A second machine as far as the network goes: a network namespace behind a cable that a test can pull."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

_HERE, _THERE = "farmt{0}a", "farmt{0}b"  # ends of the cable; a name has at most 15 characters


@dataclass(frozen=True, slots=True)
class Beyond:
    """The namespace and its cable."""

    name: str
    here: str  # address of this machine's end
    address: str  # of the other end
    cable: str  # this machine's end

    def command(self, *words: str) -> list[str]:
        """`words` as a command that runs beyond the cable."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Lose every packet from now on, as a pulled cable does: nobody is told."""
        _ip("link", "set", self.cable, "down")

    def join(self) -> None:
        """Let packets through again."""
        _ip("link", "set", self.cable, "up")


def unavailable() -> str:
    """Why there can be no namespaces here, "" where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need `ip`: apt-get install iproute2"
    probe = f"farm-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this machine gives no network namespaces: {made.stderr.strip()}"
    _ip("netns", "delete", probe)
    return ""


@contextlib.contextmanager
def beyond() -> Iterator[Beyond]:
    """A namespace of this test process, gone at the end of the block."""
    number = os.getpid() % 65_536  # two test processes may each have one
    subnet = f"10.{64 + number // 256 % 64}.{number % 256}"
    name, here, there = f"farm-test-{os.getpid()}", _HERE.format(number), _THERE.format(number)
    made = Beyond(name, f"{subnet}.1", f"{subnet}.2", here)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        for command, end, address in (([], here, made.here), (["-n", name], there, made.address)):
            _ip(*command, "address", "add", f"{address}/24", "dev", end)
            _ip(*command, "link", "set", end, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        subprocess.run(["ip", "link", "delete", here], capture_output=True, check=False)  # may not have come to it
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
