"""A fake `npu-smi` on PATH: a shell script that answers each topic with what the test put there.

The answers it begins with are those of an A3 server with two cards of two chips each, all well.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MAP = """\
	NPU ID                         Chip ID                        Chip Logic ID                  Chip Phy-ID                    Chip Name
	0                              0                              0                              0                              Ascend910
	0                              1                              1                              1                              Ascend910
	0                              2                              -                              -                              Mcu
	1                              0                              2                              2                              Ascend910
	1                              1                              3                              3                              Ascend910
	1                              2                              -                              -                              Mcu
"""  # noqa: E501
HEALTH = """\
	Health Status                  : OK
	Error Code                     : NA
	Error Information              : NA
"""
TEMPERATURE = "	NPU Temperature (C)            : 39\n"
USAGES = """\
	HBM Capacity(MB)               : 65536
	HBM Usage Rate(%)              : 5
	Aicore Usage Rate(%)           : 0
	HBM Bandwidth Usage Rate(%)    : 0
"""
PROCESSES = "	No process in device.\n	Chip ID                        : 0\n"

_SCRIPT = """\
#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
if [ "$2" = "-m" ]; then topic=map; else topic=$3; fi
if [ "$topic" = board ] && [ "$6" = "-c" ]; then topic=die$5.$7; elif [ "$topic" = board ]; then topic=board$5; fi
[ -e "$here/$topic.hangs" ] && sleep 600
[ -e "$here/$topic" ] && cat "$here/$topic"
[ -e "$here/$topic.fails" ] && exit 1
exit 0
"""


class FakeNpuSmi:
    """What the tool is to answer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        script = directory / "npu-smi"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        for topic, text in (("map", MAP), ("health", HEALTH), ("temp", TEMPERATURE), ("usages", USAGES)):
            self.answer(topic, text)
        self.answer("proc-mem", PROCESSES)

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        return (self._directory / "calls").read_text().splitlines()

    def answer(self, topic: str, text: str) -> None:
        """Answer `topic` with `text`.

        Topics are "map", "health", "temp", "usages", "proc-mem", "board4" of NPU 4 and "die4.1" of chip 1 on it.
        """
        (self._directory / topic).write_bytes(text.encode("latin-1"))

    def fail(self, topic: str, text: str) -> None:
        """Print `text` and end with exit code 1."""
        self.answer(topic, text)
        (self._directory / f"{topic}.fails").touch()

    def hang(self, topic: str) -> None:
        """Never answer."""
        (self._directory / f"{topic}.hangs").touch()


def install(monkeypatch: pytest.MonkeyPatch, directory: Path) -> FakeNpuSmi:
    """Put the fake on PATH until the test ends."""
    directory.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return FakeNpuSmi(directory)
