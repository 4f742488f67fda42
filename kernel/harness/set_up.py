"""Makes a repository ready for its trials: the set-up steps of its profile, once for the same contents on a machine.

Each step has a content address: its own declaration, the contents of its inputs, the toolchain's versions, the declared
environment, and the addresses of the steps before it. It runs in a private copy of the repository, at a path that is
the address's own, because builds keep absolute paths; nothing is moved afterwards. What is finished has a record, which
is written last: a step that was interrupted has none, and its remains are deleted by the next that needs it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from kernel.errors import HarnessError
from kernel.harness import activation, repository_copy, set_up_address, step_record
from kernel.harness.activation import EnvironmentChange
from kernel.harness.launch import Launcher, UnconfinedLauncher
from kernel.harness.profile import Profile
from kernel.harness.profile_setup import Setup
from kernel.harness.repository_copy import Listing
from kernel.harness.set_up_run import StepRun
from kernel.harness.step_record import SetupError, SetupStep

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SetupResult:
    """A repository that is ready. What lies in the cache is to be read only."""

    root: Path  # of the files that trials run: the repository itself, or a copy with `mounts` in their places
    mounts: Mapping[str, Path] = field(default_factory=dict)  # path below the repository → what a step has made
    change: EnvironmentChange = field(default_factory=EnvironmentChange)  # of every trial's environment
    steps: tuple[SetupStep, ...] = ()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the steps and their scripts set."""
        return self.change.set

    @property
    def readable(self) -> tuple[Path, ...]:
        """What a confined trial must be shown: the files, and what the links in them lead to."""
        return (self.root, *self.mounts.values())


def prepare(
    profile: Profile,
    platform: str,
    root: Path,
    cache: Path,
    launcher: Launcher | None = None,
    on_progress: Progress = lambda what: None,
    toolchain: Mapping[str, str] | None = None,
    *,
    make: bool = True,
) -> SetupResult:
    """Run the set-up steps of `profile` that have not been run for these contents on this machine.

    Args:
        profile: Whose steps, and whose environment.
        platform: One of the profile's.
        root: The repository, which is not changed.
        cache: Where the results are kept, shared by the processes of this machine.
        launcher: Starts the commands; without one nothing confines them.
        on_progress: Called with each step before it begins.
        toolchain: Versions of the profile's tools, part of every address.
        make: Whether a step that was not run yet is run, or an error.

    Returns:
        Where the trials run from, and in which environment.

    Raises:
        SetupError: A step failed. Its log is kept, and what it made is deleted.
        OSError: The machine's, as a full disk.
    """
    if not profile.setup:
        return SetupResult(root)
    work = _Preparation(
        profile, platform, cache.resolve(), launcher or UnconfinedLauncher(), on_progress, toolchain or {}, root, make
    )
    return work.result()


@dataclass(slots=True)
class _Preparation:
    """One call of `prepare`."""

    profile: Profile
    platform: str
    cache: Path
    launcher: Launcher
    on_progress: Progress
    toolchain: Mapping[str, str]
    root: Path
    make: bool
    listing: Listing = field(init=False)
    digests: dict[str, str] = field(default_factory=dict)  # of files that an address has asked for
    mounts: dict[str, Path] = field(default_factory=dict)  # made so far
    scripts: list[str] = field(default_factory=list)  # templates, to be sourced for later steps and for the trials
    captured: dict[str, str] = field(default_factory=dict)
    steps: list[SetupStep] = field(default_factory=list)
    at: Path | None = None  # of the step under way, in the cache

    def result(self) -> SetupResult:
        """Run what is not there yet."""
        self.listing = repository_copy.listed_files(self.root)
        for number, step in enumerate(self.profile.setup, start=1):
            self.at = None
            try:
                self._take(step, number)
            except HarnessError as error:
                failed = step_record.failed(step.name, error, self.at)
                raise SetupError(error.kind, str(error), (*self.steps, failed)) from error
        view = repository_copy.view(self.listing, self.mounts, self.cache) if self.mounts else self.root
        return SetupResult(view, dict(self.mounts), self._change(view), tuple(self.steps))

    def _take(self, step: Setup, number: int) -> None:
        """Run `step`, or find what it made."""
        about = f"set-up: {step.name} ({number} of {len(self.profile.setup)})"
        self.on_progress(about)
        self.scripts += step.activate
        if step.skip_if_present and self._present(step.skip_if_present):
            self.steps.append(SetupStep(step.name, skipped=True))
            return
        if not step.command:
            self.steps.append(SetupStep(step.name))
            return
        self.at = place = self._place(step)
        with self._locked(place, about):
            made = step_record.read(place, step) or self._run(step, place)
        self.steps.append(made)
        self.captured |= made.captured
        self.mounts |= {output: place / step_record.TREE / output for output in step.outputs}

    def _place(self, step: Setup) -> Path:
        address = set_up_address.address(
            step, self.profile, self.platform, self.listing, self.digests, self.toolchain, self.steps, self.scripts
        )
        return self.cache / "set-ups" / address[:2] / address

    def _present(self, template: str) -> bool:
        place = {"root": str(self.root), "platform": self.platform, "workdir": "", "output": ""}
        return (self.root / template.format_map(place)).exists()

    @contextmanager
    def _locked(self, place: Path, about: str) -> Iterator[None]:
        """Hold the step's address; another process that is at it is waited for, and shown."""
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{place}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self.on_progress(f"{about}, which another process on this machine is making")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _run(self, step: Setup, place: Path) -> SetupStep:
        if not self.make:
            raise HarnessError("setup", f"set-up step {step.name} has not been run for these contents on this machine")
        step_record.refuse_what_failed_twice(place)
        run = StepRun(step, self.profile, self.platform, place, self.launcher)
        try:
            made = run.made(self.listing, self.mounts, self.scripts, self.captured)
        except HarnessError as error:
            step_record.note_failure(place, error)
            raise
        step_record.write(place, made)
        return made

    def _change(self, view: Path) -> EnvironmentChange:
        """What a trial's environment has beyond the profile's: captured values, then what the scripts leave."""
        with tempfile.TemporaryDirectory(prefix="farm-activate-") as place:
            work = Path(place).resolve()
            known = {"root": str(view), "platform": self.platform, "workdir": str(work), "output": ""}
            base = set_up_address.environment(self.profile, self.platform, view, work)
            scripts = [str(view / script.format_map(known)) for script in self.scripts]
            readable = (view, *self.mounts.values())
            return activation.change(scripts, view, base, self.captured, work, self.launcher, readable)
