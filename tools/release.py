"""Build wheel and source distribution so that everybody who builds the same commit gets the same bytes.

    python -m tools.release            # into dist/, with SHA256SUMS and sbom.cdx.json
    python -m tools.release --check    # builds twice, in two places, and compares

What is built is the commit, not the working tree. Times are those of the commit (`SOURCE_DATE_EPOCH`). setuptools
writes the builder's times, users and order into a source distribution, so that one is packed again.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools import sbom
from tools.set_up import ROOT


def repacked(packed: bytes, epoch: int) -> bytes:
    """Return a .tar.gz of the same files, whose bytes follow from their names, contents and `epoch` alone."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as old,
        gzip.GzipFile("", "wb", 9, out, epoch) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in sorted(old.getmembers(), key=lambda each: each.name):
            executable = entry.isdir() or bool(entry.mode & 0o100)
            entry.mtime, entry.mode = epoch, 0o755 if executable else 0o644
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.pax_headers = {}
            new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
    return out.getvalue()


def build(out: Path, commit: str) -> dict[str, str]:
    """Build both distributions of a commit into `out`; return file name → SHA-256.

    The wheel is made from the source distribution as it is packed in the end. Raises `CalledProcessError`.
    """
    epoch = int(_git("show", "--no-patch", "--format=%ct", commit))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        _check_out(commit, source)
        _run(["--sdist", "--outdir", str(out), str(source)], environment)
        (sdist,) = out.glob("*.tar.gz")
        sdist.write_bytes(repacked(sdist.read_bytes(), epoch))
        with tarfile.open(sdist) as archive:
            archive.extractall(temporary, filter="data")
        _run(["--wheel", "--outdir", str(out), str(Path(temporary) / sdist.name.removesuffix(".tar.gz"))], environment)
    (wheel,) = out.glob("*.whl")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (sdist, wheel)}


def _check_out(commit: str, directory: Path) -> None:
    """Write the commit's files, with the same rights wherever this runs."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(directory, filter="data")
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _run(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *arguments]
    before = os.umask(0o022)
    try:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    finally:
        os.umask(before)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def newest() -> str:
    """The commit that the working tree is at."""
    return _git("rev-parse", "HEAD").strip()


def differences() -> list[str]:
    """Build twice in two places; return the names of the files whose bytes differ."""
    commit = newest()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory(prefix="elsewhere-") as second:
        one, other = build(Path(first), commit), build(Path(second), commit)
    return sorted(name for name in {**one, **other} if one.get(name) != other.get(name))


def main(arguments: list[str]) -> int:
    """Build, or check that building is reproducible: 1 where it is not."""
    parser = argparse.ArgumentParser(description="Build the distributions.")
    parser.add_argument("--check", action="store_true", help="build twice and compare")
    if parser.parse_args(arguments).check:
        found = differences()
        print(f"differs: {', '.join(found)}" if found else "both builds have the same bytes")
        return 1 if found else 0
    out, commit = ROOT / "dist", newest()
    sums = build(out, commit)
    epoch = int(_git("show", "--no-patch", "--format=%ct", commit))
    (out / "sbom.cdx.json").write_text(json.dumps(sbom.bill(epoch), indent=1, sort_keys=True) + "\n")
    (out / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    print((out / "SHA256SUMS").read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
