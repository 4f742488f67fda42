"""Trials of programs that nobody trusts: each is a few lines of Python, run the way a commit's program is."""

from __future__ import annotations

import textwrap
from pathlib import Path

from jobs.build import build
from jobs.records import BuildRecord, TrialRecord, TrialRequest
from jobs.sandbox.commit_kernel import ForeignKernel, Origin
from jobs.sandbox.confined_platform import Confined
from jobs.sandbox.limits import SandboxLimits
from jobs.sandbox.source_tree import Tree
from jobs.trial import run_trial
from tests.fakes.plain_platform import PlainPlatform
from tests.fakes.small_kernel import SmallKernel

LIMITS = SandboxLimits(
    memory_bytes=2 << 30,
    processes=128,
    file_bytes=64 << 20,
    log_bytes=4 << 20,
    scratch_bytes=48 << 20,
    time_s=120.0,  # a busy machine takes many seconds to import torch
)
_KERNEL = """
import types

class Tuning:
    def as_dict(self):
        return {"rows": 16}

class Kernel:
    cases = {"small": None}
    def tuning(self, case, overrides):
        return Tuning()
    def program(self, case, tuning):
        return types.SimpleNamespace(entry=entry)

KERNEL = Kernel()
"""
RIGHT = """
def right(inputs, outputs):
    import torch
    y = inputs["x"].reshape(-1, 32).float() @ inputs["w"].float() * 0.5
    outputs["y"].copy_(y)
    outputs["rounded"].copy_(torch.round(y).to(torch.int8))
"""


def program(entry: str) -> Tree:
    """The tree of a program whose `entry(inputs, outputs)` has this body, and may call `right`."""
    body = textwrap.indent(textwrap.dedent(entry).strip(), "    ")
    return Tree.of("attacked.py", {"attacked.py": f"{RIGHT}\ndef entry(inputs, outputs):\n{body}\n{_KERNEL}".encode()})


def under(
    tree: Tree,
    place: Path,
    limits: SandboxLimits = LIMITS,
    *,
    require: bool = True,
    platform: PlainPlatform | None = None,
) -> tuple[ForeignKernel, Confined]:
    """The kernel and the platform for `tree`, unpacked below `place`."""
    top = tree.unpack(place / "cache")
    origin = Origin("attacked:KERNEL", "attacked", ("attacked.py",))
    kernel = ForeignKernel(SmallKernel(), (top / "attacked.py",))
    return kernel, Confined(platform or PlainPlatform(), origin, top, tree.place, limits, require_sandbox=require)


def request(seed: int = 11) -> TrialRequest:
    """The small kernel on a seed that no program here knows."""
    return TrialRequest(kernel="small", case="small", platform="plain", input_set="integers", seed=seed)


def attempt(
    entry: str,
    place: Path,
    limits: SandboxLimits = LIMITS,
    *,
    seed: int = 11,
    require: bool = True,
    platform: PlainPlatform | None = None,
) -> TrialRecord:
    """One trial of the program with that body, on `platform` where one is given."""
    kernel, confined = under(program(entry), place, limits, require=require, platform=platform)
    return run_trial(request(seed), 0, "node/0", 0, 0, confined, place / "trial", place / "cache", kernel=kernel)


def built(
    tree: Tree,
    place: Path,
    limits: SandboxLimits = LIMITS,
    *,
    require: bool = True,
    platform: PlainPlatform | None = None,
) -> BuildRecord:
    """One build of `tree`, on `platform` where one is given."""
    kernel, confined = under(tree, place, limits, require=require, platform=platform)
    return build(request(), confined, place / "cache", kernel=kernel)


def loaded(
    source: str,
    place: Path,
    limits: SandboxLimits = LIMITS,
    *,
    require: bool = True,
    platform: PlainPlatform | None = None,
) -> BuildRecord:
    """One build of a program that does `source` as soon as it is loaded.

    Its process is confined as that of a trial, and ends seconds earlier: nothing in it imports torch.
    """
    text = f"{textwrap.dedent(source).strip()}\nentry = None\n{_KERNEL}"
    tree = Tree.of("attacked.py", {"attacked.py": text.encode()})
    return built(tree, place, limits, require=require, platform=platform)
