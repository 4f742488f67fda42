"""Content addresses, and where things of an address lie in a cache directory that many workers share.

A cache may be deleted at any time; it is written by renaming whole files, so a reader sees all of one or none.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import torch

from jobs.content_address import content_address
from jobs.records import TrialRequest
from kernel.platforms.protocol import Platform
from kernel.spec import Kernel, Tuning

_DISTRIBUTION = "npu-kernel-farm"


def source_digest(files: Iterable[Path]) -> str:
    """SHA-256 over names and bytes of `files`, independent of where the checkout lies and of the order given."""
    paths = sorted(Path(file).resolve() for file in files)
    if not paths:
        return hashlib.sha256().hexdigest()
    top = Path(os.path.commonpath([path.parent for path in paths]))
    digests = {path.relative_to(top).as_posix(): _file_digest(path) for path in paths}
    return content_address(digests)


def build_address(request: TrialRequest, kernel: Kernel, tuning: Tuning, platform: Platform) -> str:
    """The address of a build: the kernel's sources, case, every knob, the platform's own code and its toolchain."""
    # A platform that confines another is made of both.
    parts = [platform, *([inner] if (inner := getattr(platform, "inner", None)) else [])]
    implementation = [file for part in parts for file in Path(inspect.getfile(type(part))).parent.glob("*.py")]
    return content_address(
        {
            "kernel": kernel.name,
            "sources": source_digest(kernel.sources()),
            "case": request.case,
            "tuning": tuning.as_dict(),
            "platform": platform.name,
            "implementation": source_digest(implementation),
            "toolchain": platform.toolchain(),
        }
    )


def reference_address(kernel: Kernel, case: str, input_set: str, seed: int) -> str:
    """The address of a case's inputs and golden: the kernel's sources, the draw, and the torch that computes them."""
    return content_address(
        {
            "kernel": kernel.name,
            "sources": source_digest(kernel.sources()),
            "case": case,
            "input_set": input_set,
            "seed": seed,
            "torch": str(torch.__version__),
            "farm": _farm_version(),
        }
    )


def build_directory(cache_dir: Path, address: str) -> Path:
    """Where the record of the build at `address` lies."""
    return cache_dir / "builds" / address[:2] / address


def reference_path(cache_dir: Path, address: str) -> Path:
    """Where inputs and golden at `address` lie, as safetensors."""
    return cache_dir / "references" / address[:2] / f"{address}.safetensors"


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file, the new one, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fresh.write_text(text)
    fresh.replace(path)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _farm_version() -> str:
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:  # a plain checkout on PYTHONPATH
        return ""
