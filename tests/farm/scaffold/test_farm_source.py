"""The pin of a starter: a source that exists, and no name of an index that the farm did not come from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from farm import scaffold
from farm.scaffold.farm_source import requirement

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution named `pinned`, version 1.0; its direct_url.json is the test's to write."""
    package = tmp_path / "site" / "pinned-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: pinned\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
    return package


def comes_from(package: Path, **described: object) -> str:
    (package / "direct_url.json").write_text(json.dumps(described))
    return requirement("pinned")


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of one commit, which its `origin` has."""
    where = tmp_path / "check out"
    git(tmp_path, "init", "--quiet", str(where))
    git(where, "commit", "--quiet", "--allow-empty", "-m", "first")
    git(where, "remote", "add", "origin", "https://user:secret@git.example/farm.git")
    git(where, "update-ref", "refs/remotes/origin/main", "HEAD")
    return where


def test_what_came_from_an_index_is_pinned_by_its_version(installed: Path) -> None:
    assert requirement("pinned") == "pinned[pypto,test]==1.0"


def test_what_came_from_a_repository_is_pinned_by_its_commit_without_credentials(installed: Path) -> None:
    vcs = {"vcs": "git", "commit_id": COMMIT}

    pin = comes_from(installed, url="https://user:secret@git.example:8443/farm.git", vcs_info=vcs)

    assert pin == f"pinned[pypto,test] @ git+https://git.example:8443/farm.git@{COMMIT}"


def test_a_checkout_is_pinned_where_its_origin_has_the_commit(installed: Path, checkout: Path) -> None:
    described = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    head = git(checkout, "rev-parse", "HEAD")

    assert comes_from(installed, **described) == f"pinned[pypto,test] @ git+https://git.example/farm.git@{head}"

    git(checkout, "commit", "--quiet", "--allow-empty", "-m", "not pushed")
    assert comes_from(installed, **described) == ""


@pytest.mark.parametrize("url", ["/srv/farm.git", "file:///srv/farm.git", "../farm"])
def test_a_path_is_not_a_source_for_others(installed: Path, checkout: Path, url: str) -> None:
    git(checkout, "remote", "set-url", "origin", url)

    assert comes_from(installed, url=checkout.as_uri(), dir_info={}) == ""


def test_without_a_source_the_workflow_stops_and_names_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaffold, "requirement", lambda: "")
    scaffold.write(tmp_path)
    steps = yaml.safe_load((tmp_path / ".github/workflows/kernel.yml").read_text())["jobs"]["validate"]["steps"]
    (step,) = [step for step in steps if "FARM_SOURCE" in step.get("run", "")]

    done = subprocess.run(["bash", "-e", "-c", step["run"]], capture_output=True, text=True, env={"FARM_SOURCE": ""})

    assert step["env"] == {"FARM_SOURCE": "${{ vars.FARM_SOURCE }}"}
    assert done.returncode != 0 and "set the repository variable FARM_SOURCE" in done.stderr
    assert "npu-kernel-farm>=" not in (tmp_path / "pyproject.toml").read_text()
