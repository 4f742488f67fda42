"""The targets of a suite: a file, or one of a file's variants, under an id that is the same on every machine. Pure."""

from __future__ import annotations

from kernel.harness.profile import Profile, listed
from kernel.harness.profile_results import Variant


def targets(file: str, profile: Profile) -> list[str]:
    """Return the ids of what is run of `file`: "FILE[NAME]" for each of its variants, else the path itself."""
    named = [f"{file}[{each.name}]" for each in profile.variants if listed(file, each.files)]
    return named or [file]


def file_of(target: str, profile: Profile) -> str:
    """Return the path of the file that `target` runs."""
    return _split(target, profile)[0]


def variant_of(target: str, profile: Profile) -> Variant | None:
    """Return the variant that `target` is; None for a whole file."""
    return _split(target, profile)[1]


def _split(target: str, profile: Profile) -> tuple[str, Variant | None]:
    """A file's own name may end with a bracket as well; only the name of a variant that it has is one."""
    for each in profile.variants:
        ending = f"[{each.name}]"
        file = target.removesuffix(ending)
        if file != target and listed(file, each.files):
            return file, each
    return target, None
