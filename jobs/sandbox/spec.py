"""What a worker needs to run other programs than the installed one: trees by content, and how they are kept apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jobs.records import TrialRequest
from jobs.sandbox.commit_kernel import ForeignKernel, Origin
from jobs.sandbox.confined_platform import Confined
from jobs.sandbox.limits import SandboxLimits
from jobs.sandbox.source_tree import Tree
from jobs.sandbox.suite_launcher import SandboxedLauncher
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Profile
from kernel.platforms.command import Command
from kernel.platforms.protocol import Platform
from kernel.registry import find_kernel
from kernel.spec import Kernel


class Confinement(Protocol):
    """The programs of one run that are not installed."""

    def arrange(self, request: TrialRequest, platform: Platform, cache: Path) -> tuple[Kernel, Platform]:
        """Return the kernel and the platform that stand for the program at `request.tree`, unpacked below `cache`."""
        ...


@dataclass(frozen=True, slots=True)
class ProgramConfinement:
    """Commits' programs, all of one installed kernel."""

    kernel: str  # whose rules hold: an installed kernel's name
    origin: Origin
    trees: tuple[Tree, ...]
    require_sandbox: bool  # refuse where programs cannot be isolated
    limits: SandboxLimits = field(default_factory=SandboxLimits)

    def arrange(self, request: TrialRequest, platform: Platform, cache: Path) -> tuple[Kernel, Platform]:
        """The installed kernel's rules with the tree's program, which runs confined."""
        tree = _named(self.trees, request.tree)
        top = tree.unpack(cache)
        kernel = ForeignKernel(find_kernel(self.kernel), tuple(top / path for path, _ in tree.files))
        confined = Confined(platform, self.origin, top, tree.place, self.limits, require_sandbox=self.require_sandbox)
        return kernel, confined


@dataclass(frozen=True, slots=True)
class SuiteConfinement:
    """Commits of a suite's repository, each with all of its files."""

    profile: Profile
    trees: tuple[Tree, ...]
    require_sandbox: bool

    @property
    def launcher(self) -> SandboxedLauncher:
        """What starts their files."""
        how = self.profile.sandbox
        shown = tuple(Path(each) for each in how.read)
        return SandboxedLauncher(shown, how.memory_mb << 20, how.processes, self.require_sandbox)

    def arrange(self, request: TrialRequest, platform: Platform, cache: Path) -> tuple[Kernel, Platform]:
        """The file `request.case` of the tree, and the platform that runs it confined."""
        root = _named(self.trees, request.tree).unpack(cache)
        kernel = HarnessKernel(self.profile, root, (request.case,))
        return kernel, Command(self.profile, platform.name, root, self.launcher)


def _named(trees: tuple[Tree, ...], address: str) -> Tree:
    return next(each for each in trees if each.address == address)
