"""The name of a kernel in records: the same on every machine and in every checkout."""

from __future__ import annotations

from pathlib import Path

from kernel.file_kernels import absolute, is_path


def recorded_name(name: str) -> str:
    """Return `name`, of a kernel by its file relative to the top of the git repository that holds the file.

    A file in no repository keeps its absolute path: nothing else says which file it is.
    """
    if not is_path(name):
        return name
    file, _, attribute = absolute(name).rpartition(":")
    path = Path(file)
    top = next((each for each in path.parents if (each / ".git").exists()), None)
    return f"{(path.relative_to(top) if top else path).as_posix()}:{attribute}"
