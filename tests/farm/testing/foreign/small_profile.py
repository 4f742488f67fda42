"""A profile of a small pytest suite, for these tests."""

from __future__ import annotations

import sys

from kernel.harness.profile import Profile, parse

_TEXT = """
name = "small"
summary = "a suite of the tests"
command = [INTERPRETER, "-m", "pytest", "{file}", "--card", "{index}", "--junitxml={workdir}/junit.xml"]
[files]
include = ["test_*.py"]
[results]
by = "junit"
file = "junit.xml"
[platforms.npu]
simulated = false
clock = "measured"
[environment.set]
ASCEND_RT_VISIBLE_DEVICES = "{device}"
PYTHONDONTWRITEBYTECODE = "1"
PYTEST_DISABLE_PLUGIN_AUTOLOAD = "1"
"""


def small(*, flags: bool = False) -> Profile:
    """A suite that finds its device in a variable, renumbered, and in an argument; `flags`: with optional arguments."""
    offered = 'flags = [{ option = "--level", values = ["2"] }, { option = "--absent" }]\n' if flags else ""
    return parse(offered + _TEXT.replace("INTERPRETER", f'"{sys.executable}"'), "small.toml")
