"""The container file is built and started, where a builder is and the image that it begins with can be had.

The builder is buildah, which needs no daemon and no root. `FARM_CONTAINER_BASE` names another base, for machines that
reach no registry; `FARM_CONTAINER_OPTIONS` has further options of `buildah bud`, such as `--volume`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = "ci/deploy/Containerfile"
BASE = os.environ.get("FARM_CONTAINER_BASE", "docker.io/library/python:3.11-slim-bookworm")
OPTIONS = shlex.split(os.environ.get("FARM_CONTAINER_OPTIONS", ""))
IMAGE = "localhost/npu-kernel-farm:of-the-tests"


def buildah(*arguments: str, limit_s: float = 1800) -> subprocess.CompletedProcess[str]:
    environment = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot", **os.environ}
    return subprocess.run(
        ["buildah", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=limit_s
    )


@pytest.fixture
def container() -> Iterator[str]:
    """A container of the freshly built image; image and container are removed afterwards."""
    if shutil.which("buildah") is None:
        pytest.skip("no buildah here (Debian: apt-get install buildah)")
    if buildah("inspect", "--type", "image", BASE).returncode and buildah("pull", "--quiet", BASE).returncode:
        pytest.skip(f"the base {BASE} is neither here nor at a registry that can be reached")
    built = buildah("bud", "--layers=false", "--build-arg", f"BASE={BASE}", *OPTIONS, "-f", FILE, "-t", IMAGE, ".")
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    name = buildah("from", IMAGE).stdout.strip()
    yield name
    buildah("rm", name)
    buildah("rmi", IMAGE)


@pytest.mark.long
def test_it_is_built_and_validates_a_kernel_as_its_own_user(container: str) -> None:
    user = buildah("run", container, "--", "id", "-u")
    run = buildah("run", container, "--", "farm", "run", "--devices", "3", "--case", "tiny")

    assert user.stdout.strip() == "1000"
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert "passed" in run.stdout
