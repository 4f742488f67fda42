"""Finds a harness profile: one that is shipped, by name, or anybody's own, by path."""

from __future__ import annotations

from pathlib import Path

from kernel.errors import UnknownNameError
from kernel.harness.profile import Profile, ProfileError, parse

_SHIPPED = Path(__file__).with_name("profiles")


def names() -> list[str]:
    """Names of the shipped profiles, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def find(name: str) -> Profile:
    """The profile `name`: what ends in `.toml` or holds a `/` is a path. Raises `UnknownNameError`, `ProfileError`."""
    return parse(text_of(name), name)


def text_of(name: str) -> str:
    """The text of the profile `name`, as `find` takes it. Raises `UnknownNameError`, `ProfileError`."""
    if is_path(name):
        return _read(Path(name), name)
    if name not in names():
        raise UnknownNameError("harness", name, [*names(), "a path to a .toml file"])
    return _read(_SHIPPED / f"{name}.toml", name)


def is_path(name: str) -> bool:
    """Return whether `name` names a file and no shipped profile."""
    return name.endswith(".toml") or "/" in name


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError(where, f"is not UTF-8: byte {error.start}") from error
    except OSError as error:
        raise ProfileError(where, f"cannot be read: {error.strerror}") from error
