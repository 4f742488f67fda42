"""Which files of a repository a run takes: those the patterns match, if they are kernels and for the platform."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import UsageError
from kernel.harness import head
from kernel.harness.head import Head
from kernel.harness.profile import Profile
from kernel.harness.targets import targets, variant_of

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a run, each by its path below the repository's root, with `/`."""

    files: Mapping[str, Head]  # to be run
    skipped: Mapping[str, str]  # file → why it is not
    parts: int  # matching files that cannot be run by themselves

    def only(self, chosen: Collection[str]) -> Found:
        """Those of `chosen`."""
        files = {file: told for file, told in self.files.items() if file in chosen}
        return Found(files, {file: why for file, why in self.skipped.items() if file in chosen}, self.parts)


def discover(root: Path, patterns: Sequence[str], profile: Profile, platform: str) -> Found:
    """What `patterns`, the profile's own where there are none, match below `root`. Raises `UsageError`."""
    matching: dict[str, Path] = {}
    how = profile.platforms[platform]
    excluded = [*profile.files.exclude, *how.exclude]
    for pattern in patterns or how.include or profile.files.include:
        found = dict(_matching(root, pattern, excluded))
        if not found and patterns:
            raise UsageError(f"no file below {root} matches '{pattern}'; quote the pattern, and see --root")
        matching.update(found)
    heads = {file: _head(path, file, profile, platform) for file, path in sorted(matching.items())}
    parts = [file for file, told in heads.items() if not told.runnable]
    runnable = {
        target: replace(told, devices=variant.devices)
        if (variant := variant_of(target, profile)) is not None and variant.devices
        else told
        for file, told in heads.items()
        if told.runnable
        for target in targets(file, profile)
    }
    if not runnable:
        wanted = f"none of them can be run (no '{profile.files.runnable}' in it)" if heads else "no file matches"
        raise UsageError(f"{len(heads)} files match below {root}, {wanted}; see --root, or name others")
    return Found(
        files={file: told for file, told in runnable.items() if not told.skipped},
        skipped={file: told.skipped for file, told in runnable.items() if told.skipped},
        parts=len(parts),
    )


def _matching(root: Path, pattern: str, excluded: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Files below `root`; one that is named without a wildcard is taken although the profile excludes it."""
    if pattern.startswith("/") or ".." in Path(pattern).parts:
        raise UsageError(f"pattern '{pattern}' leaves the repository; give it from {root}")
    try:
        paths = list(root.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"pattern '{pattern}' cannot be used: {str(error).lower()}") from error
    for path in paths:
        below = path.relative_to(root)
        hidden = any(part.startswith(".") for part in below.parts)
        barred = any(fnmatch.fnmatchcase(below.as_posix(), each) for each in excluded)
        if path.is_file() and not (hidden or (barred and _WILD & set(pattern))):
            yield below.as_posix(), path


def _head(path: Path, file: str, profile: Profile, platform: str) -> Head:
    try:
        return head.read(path, profile, platform)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
