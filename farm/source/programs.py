"""The programs of a run that takes them from commits: what is read before it starts, and what workers are sent."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from farm.errors import UsageError
from farm.model.run import RunRequest, SourceRecord, SourceRequest
from farm.source import gate_rules
from farm.source.git_repository import GitRepository, SourceError
from jobs.kernel_process.described import kernel_of
from jobs.sandbox import bubblewrap
from jobs.sandbox.commit_kernel import Origin
from jobs.sandbox.limits import SandboxLimits
from jobs.sandbox.source_tree import Tree
from jobs.sandbox.spec import ProgramConfinement
from kernel import file_kernels
from kernel.registry import kernel_entry
from kernel.spec import Kernel

# A confined program is ended after this share of its trial's time, so that the trial itself can still say so.
_SHARE_OF_TRIAL = 0.9
_SEED_BITS = 62


def limits_within(trial_s: float) -> SandboxLimits:
    """What a confined program may take in a trial of `trial_s` seconds."""
    return SandboxLimits(time_s=_SHARE_OF_TRIAL * trial_s)


@dataclass(frozen=True, slots=True)
class Programs:
    """The trees of one run."""

    origin: Origin
    head: Tree
    base: Tree | None  # None where there is no base, or the base has no such program
    base_lacks: str  # why there is no base to measure, in words; "" where there is one, or none was asked for
    rule_changes: tuple[str, ...]
    compared_with: str

    def record(self, commit: str) -> SourceRecord:
        """What the run's record says of them."""
        return SourceRecord(
            commit=commit,
            tree=self.head.address,
            place=self.head.place,
            rule_changes=list(self.rule_changes),
            compared_with=self.compared_with,
        )

    def confinement(self, kernel: str, source: SourceRequest, trial_s: float) -> ProgramConfinement:
        """What workers are sent."""
        trees = (self.head,) if self.base is None else (self.head, self.base)
        limits = limits_within(trial_s)
        return ProgramConfinement(kernel, self.origin, trees, source.require_sandbox, limits)


def requested(
    kernel: str, repository: Path, commit: str, base: str | None, *, draw_seed: bool, require_sandbox: bool
) -> SourceRequest:
    """The request for the program of `kernel` at `commit`, both names resolved; `base` becomes their merge base.

    Raises `SourceError`, and `UsageError` for a kernel that is not installed.
    """
    require_installed(kernel)
    read = GitRepository(repository)
    head = read.commit(commit)
    return SourceRequest(
        repository=str(read.path),
        commit=head,
        base="" if base is None else read.merge_base(head, read.commit(base)),
        draw_seed=draw_seed,
        require_sandbox=require_sandbox,
    )


def require_installed(kernel: str) -> None:
    """Raise `UsageError` for a kernel named by its file, whose inputs, golden and tolerances nobody has installed.

    Taken from the commit they would judge themselves; taken from the file they may be any other version's.
    """
    if file_kernels.is_path(kernel):
        raise UsageError(
            f"{kernel} is a file, and a commit is judged by the rules of an installed kernel; "
            "install its package and name the kernel, or run the file without --source and --base"
        )


def has_changes(repository: Path) -> bool:
    """Whether the work tree at `repository` has changes that no commit has."""
    return GitRepository(repository).differs()


def read(name: str, source: SourceRequest) -> Programs:
    """The programs of kernel `name` that `source` asks for. Raises `SourceError`, `UsageError`, `UnknownNameError`."""
    require_installed(name)
    kernel = kernel_of(name)
    origin = Origin.of(kernel_entry(name))
    repository = GitRepository(Path(source.repository))
    commit = repository.commit(source.commit)
    head = repository.program(commit, origin.paths)
    base, lacks = _base(repository, source, origin, head)
    changes, compared_with = _rule_changes(repository, source, kernel, origin, head.place)
    return Programs(origin, head, base, lacks, tuple(changes), compared_with)


def drawn(request: RunRequest, *, keep: bool) -> RunRequest:
    """`request` with a seed that nobody knew while the program was built.

    Its own where that was asked for by number, and where `keep` says that trials on it stand.
    """
    if request.source is None or not request.source.draw_seed or keep:
        return request
    return request.model_copy(update={"seed": seed()})


def seed() -> int:
    """A seed that cannot be guessed."""
    return secrets.randbits(_SEED_BITS)


def require_sandbox_here() -> None:
    """Raise `UsageError` unless this machine can isolate a program."""
    found = bubblewrap.isolation()
    if not found.bubblewrap:
        raise UsageError(f"--require-sandbox: {found.lacks}; apt-get install bubblewrap, and see `farm doctor`")


def _base(repository: GitRepository, source: SourceRequest, origin: Origin, head: Tree) -> tuple[Tree | None, str]:
    if not source.base:
        return None, ""
    try:
        base = repository.program(source.base, origin.paths)
    except SourceError as error:
        return None, f"the merge base cannot be measured: {error}"
    if base.address == head.address:
        return None, f"the program is the one of the merge base {source.base[:12]}, byte for byte"
    return base, ""


def _rule_changes(
    repository: GitRepository, source: SourceRequest, kernel: Kernel, origin: Origin, place: str
) -> tuple[list[str], str]:
    wanted = gate_rules.patterns(kernel, origin, place)
    if source.base:
        return gate_rules.changed_between(repository, source.base, source.commit, wanted), source.base
    root = "src" if place.startswith("src/") else ""
    installed = origin.top.parents[origin.module.count(".")]
    return gate_rules.changed_from_installed(repository, source.commit, wanted, installed, root), "the installation"
