"""What a worker needs to run other programs than the installed one: trees by content, and how they are kept apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jobs.sandbox.commit_kernel import ForeignKernel, Origin
from jobs.sandbox.confined_platform import Confined
from jobs.sandbox.limits import SandboxLimits
from jobs.sandbox.source_tree import Tree
from kernel.platforms.protocol import Platform
from kernel.registry import find_kernel
from kernel.spec import Kernel


@dataclass(frozen=True, slots=True)
class Confinement:
    """The foreign programs of one run, all of one kernel."""

    kernel: str  # whose rules hold: an installed kernel's name
    origin: Origin
    trees: tuple[Tree, ...]
    require_sandbox: bool  # refuse where programs cannot be isolated
    limits: SandboxLimits = field(default_factory=SandboxLimits)

    def arrange(self, address: str, platform: Platform, cache: Path) -> tuple[Kernel, Confined]:
        """The kernel and the platform that stand for the program at tree `address`, which is unpacked for it."""
        tree = next(each for each in self.trees if each.address == address)
        top = tree.unpack(cache)
        kernel = ForeignKernel(find_kernel(self.kernel), tuple(top / path for path, _ in tree.files))
        confined = Confined(platform, self.origin, top, tree.place, self.limits, require_sandbox=self.require_sandbox)
        return kernel, confined
