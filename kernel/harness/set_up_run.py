"""Runs one set-up step in a private copy of the repository, and checks what it has made."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kernel.harness import activation, process_tree, repository_copy, set_up_address, step_record
from kernel.harness.bounded_log import BoundedLog
from kernel.harness.launch import Access, Launcher
from kernel.harness.process_tree import Bounds, ProcessExit
from kernel.harness.profile import Profile, listed
from kernel.harness.profile_setup import Setup
from kernel.harness.reading import Reader, Seen
from kernel.harness.repository_copy import Listing
from kernel.harness.set_up_ending import StepOutput, unmade
from kernel.harness.step_record import LOG, STEP, TREE, SetupStep

_Stamp = tuple[int, int, int, int]  # inode, size, and the times of contents and of the file itself


@dataclass(frozen=True, slots=True)
class StepRun:
    """One run of `step`, which has `place` in the cache for itself."""

    step: Setup
    profile: Profile
    platform: str
    place: Path
    launcher: Launcher

    def made(
        self, listing: Listing, mounts: Mapping[str, Path], scripts: Sequence[str], captured: Mapping[str, str]
    ) -> SetupStep:
        """Run the step; what it made lies at `place` then.

        Args:
            listing: The repository, from which the copy is made.
            mounts: What earlier steps have made, copied to its place.
            scripts: Templates of what is sourced before the command.
            captured: Variables that earlier steps have printed.

        Raises:
            HarnessError: The step failed; what it made is deleted.
            OSError: The machine's, as a full disk.
        """
        step_record.forget(self.place)
        begin = time.monotonic()
        try:
            found = self._run(listing, mounts, scripts, captured)
        except BaseException:
            step_record.forget(self.place)
            raise
        seconds = time.monotonic() - begin
        return SetupStep(self.step.name, self.place.name, seconds, log=self.place / LOG, captured=found)

    def _run(
        self, listing: Listing, mounts: Mapping[str, Path], scripts: Sequence[str], captured: Mapping[str, str]
    ) -> dict[str, str]:
        tree, work = self.place / TREE, self.place / STEP / "work"
        tree.mkdir(parents=True)
        work.mkdir()
        self._fill(tree, listing, mounts)
        before = self._stamps(tree)
        output = str(tree / self.step.outputs[0]) if self.step.outputs else ""
        known = {"root": str(tree), "platform": self.platform, "workdir": str(work), "output": output}
        given = set_up_address.environment(self.profile, self.platform, tree, work)
        sourced = [str(tree / script.format_map(known)) for script in scripts]
        readable = tuple(mounts.values())
        changed = activation.change(sourced, tree, given, captured, work, self.launcher, (tree, *readable))
        words = changed.around([word.format_map(known) for word in self.step.command])
        heard = self._launched(words, tree, given, readable)
        if problem := unmade(self.step, self._problems(tree, before)):
            raise problem
        _keep_only(tree, self.step.outputs)
        repository_copy.remove(work)
        return heard.captured

    def _fill(self, tree: Path, listing: Listing, mounts: Mapping[str, Path]) -> None:
        chosen = set_up_address.inputs(self.step, listing) if self.step.inputs_only else listing.files
        repository_copy.copy_files(listing, repository_copy.beside(chosen, mounts), tree)
        for path, made in mounts.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            repository_copy.copy_one(made, tree / path)

    def _launched(
        self, words: Sequence[str], tree: Path, environment: Mapping[str, str], readable: Sequence[Path]
    ) -> StepOutput:
        """Run the command. Raises `HarnessError` where it does not end well."""
        limits = self.step.limits
        everything = self.place / STEP
        allowed = process_tree.size_of(everything) + (limits.disk_mb << 20)
        bounds = Bounds(limits.seconds, self.profile.limits.stop_seconds, allowed)
        reader, heard = Reader(self.profile), StepOutput(self.step)
        with BoundedLog(self.place / LOG, limits.log_mb << 20) as log:

            def take(data: bytes) -> None:
                log.write(data)
                reader.feed(data)
                heard.feed(data)

            access = Access(everything, tuple(readable), network=self.step.network, lasting=True)
            ended = self.launcher.run(words, tree, environment, bounds, take, access)
        heard.close()
        self._require_end(heard, ended, reader.close(), tree)
        return heard

    def _require_end(self, heard: StepOutput, ended: ProcessExit, seen: Seen, tree: Path) -> None:
        def own(program: str) -> bool:
            path = PurePosixPath(program)
            return path.is_relative_to(tree) or (not path.is_absolute() and len(path.parts) > 1)

        if failure := heard.failure(ended, seen, own):
            raise failure

    def _stamps(self, tree: Path) -> dict[Path, _Stamp]:
        """The files that are at the places of the outputs beforehand: of the repository, not of this step."""
        return {file: _stamp(file) for output in self.step.outputs for file in _regular(tree / output)}

    def _problems(self, tree: Path, before: Mapping[Path, _Stamp]) -> list[str]:
        """What the step was to make and has not made, in words."""
        problems = [f"its output '{each}' {what}" for each in self.step.outputs if (what := _lack(tree, each, before))]
        if problems:
            return problems
        files = {
            file.relative_to(tree).as_posix(): file for each in self.step.outputs for file in _regular(tree / each)
        }
        for glob in self.step.artefacts:
            matching = [file for path, file in files.items() if listed(path, [glob])]
            if what := _shortcoming(matching, before):
                problems.append(f"its artefact '{glob}' {what}")
        return problems


def _lack(tree: Path, output: str, before: Mapping[Path, _Stamp]) -> str:
    """What is wrong with an output, in words; "" where it is there, below the copy, not empty and new."""
    path = tree / output
    if path.is_symlink() or path.parent.resolve() != (tree.resolve() / output).parent:
        return "is a link, or below one; what is made must be in its place itself"
    return _shortcoming(list(_regular(path)), before, exists=path.exists())


def _shortcoming(files: Sequence[Path], before: Mapping[Path, _Stamp], *, exists: bool = False) -> str:
    if not files:
        return "is empty" if exists else "is not there"
    filled = [file for file in files if file.stat().st_size]
    if not filled:
        return "is empty"
    if all(before.get(file) == _stamp(file) for file in filled):
        return "is the repository's own, and was not made again"
    return ""


def _regular(path: Path) -> list[Path]:
    return list(repository_copy.regular_files(path))


def _stamp(file: Path) -> _Stamp:
    known = file.stat()
    return known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns


def _keep_only(tree: Path, outputs: Sequence[str]) -> None:
    """Delete all but the outputs, and take away the right to write to them."""
    kept = [PurePosixPath(output) for output in outputs]
    for parent, names, files in os.walk(tree):
        below = PurePosixPath(Path(parent).relative_to(tree).as_posix())
        for name in (*names, *files):
            path, full = below / name, Path(parent) / name
            if any(path.is_relative_to(each) for each in kept):
                continue
            if name in names and not full.is_symlink():
                if not any(each.is_relative_to(path) for each in kept):
                    repository_copy.remove(full)
            else:
                full.unlink()
        names[:] = [name for name in names if (Path(parent) / name).is_dir()]
    for output in outputs:
        _protect(tree / output)


def _protect(path: Path) -> None:
    """Make what a step has made readable for everybody, a confined trial's user among them, and writable for nobody."""
    for file in _regular(path):
        file.chmod(0o555 if file.stat().st_mode & stat.S_IXUSR else 0o444)
    for parent, _, _ in os.walk(path):
        Path(parent).chmod(0o555)
