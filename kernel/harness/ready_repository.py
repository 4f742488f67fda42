"""A suite's repository with what its set-up steps make, found or made once in a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kernel.harness import set_up, step_files
from kernel.harness.launch import Launcher
from kernel.harness.profile import Profile
from kernel.harness.set_up import SetupResult
from kernel.harness.step_record import SetupError

# Of commits' trees, which do not change: a process that runs several in turn makes a platform for each trial.
_OF_COMMITS: dict[tuple[str, str, Path, Path], SetupResult] = {}


class ReadyRepository:
    """What the trials of one platform run from. Without set-up steps it is the repository itself."""

    def __init__(self, profile: Profile, platform: str, root: Path, launcher: Launcher) -> None:
        """`launcher` starts the steps' commands. The files of `root` never change where it confines them."""
        self._profile = profile
        self._platform = platform
        self._root = root
        self._launcher = launcher
        self.result = None if profile.setup else SetupResult(root)
        self.cache: Path | None = None
        self.on_step: Callable[[str], None] = lambda what: None  # called with each step before it begins

    def made(self, toolchain: Mapping[str, str], *, make: bool = True) -> SetupResult:
        """Return the result; steps that nobody has run on this machine are run.

        Args:
            toolchain: Versions of the profile's tools as they are before the set-up.
            make: False to run nothing.

        Raises:
            SetupError: A step failed, or has not been run and is not to be.
            OSError: The machine's, as a full disk.
        """
        if self.result is None:
            assert self.cache is not None, "prepare() comes first"
            key = (self._profile.model_dump_json(), self._platform, self._root, self.cache)
            self.result = _OF_COMMITS.get(key)
            if self.result is None:
                self.result = set_up.prepare(
                    self._profile,
                    self._platform,
                    self._root,
                    self.cache,
                    self._launcher,
                    self.on_step,
                    toolchain,
                    make=make,
                )
            if self._launcher.confined:
                _OF_COMMITS[key] = self.result
        return self.result

    def made_for_trial(self, toolchain: Mapping[str, str], directory: Path, log: Path) -> SetupResult:
        """Return the result, and leave in the trial's `directory` what it took; the log of a failure is `log`."""
        if self.result is not None:
            return self.result
        try:
            result = self.made(toolchain)
        except SetupError as error:
            step_files.leave(error.steps, directory, log)
            raise
        step_files.leave(result.steps, directory)
        return result
