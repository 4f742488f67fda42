"""One commit of a repository that the farm has never seen, held against its base: wrong, slower, racing and hostile.

Devices are threads; every trial is confined. The same through the service and with three devices is in
tests/ci/runner/test_unseen_repositories_for_real.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farm.cli.app import main
from jobs.sandbox import bubblewrap
from tests.fakes import unseen_repositories as unseen
from tests.fakes.git_remote import GitRemote
from tests.fakes.unseen_repositories import UnseenRepository
from tests.farm.thread_lease import without_ray

pytestmark = [
    pytest.mark.usefixtures("at_home"),
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks),
]

CHANGES = {
    "ops/add.py": unseen.WRONG,
    "ops/mul.py": unseen.SLOWER,
    "ops/sub.py": unseen.RACES,
    "ops/div.py": unseen.HOSTILE,
}


@pytest.fixture(autouse=True)
def on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_ray(monkeypatch)


def validated(
    place: Path, changes: dict[str, str], of: UnseenRepository = unseen.PYTHON, repeats: int = 2
) -> dict[str, Any]:
    """The record of a commit with `changes`, on two devices."""
    remote = GitRemote(place / "remote.git")
    base = remote.commit(of.files, remote.main, ref="refs/heads/main")
    head = remote.commit(changes, base)
    (place / "mine.toml").write_text(of.profile)
    words = [
        "run",
        "--suite",
        str(place / "mine.toml"),
        "--source",
        str(remote.path),
        "--commit",
        head,
        "--base",
        base,
    ]
    done = CliRunner().invoke(
        main,
        [*words, "--changed-only", "-n", "2", "-w", "2", "-r", str(repeats), "--out", str(place / "runs"), "--json"],
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_file_fails_for_what_it_does_and_a_harmless_one_passes(tmp_path: Path) -> None:
    record = validated(tmp_path, {**CHANGES, "ops/neg.py": unseen.ADD})

    files = {each["file"]: each for each in record["harness"]["files"]}
    reasons = {file: each["reason"] for file, each in files.items()}
    assert {file: each["status"] for file, each in files.items()} == {
        **dict.fromkeys(CHANGES, "failed"),
        "ops/neg.py": "passed",
    }, reasons
    assert "output add" in reasons["ops/add.py"]
    assert reasons["ops/mul.py"].startswith("regression: ")
    assert reasons["ops/sub.py"].startswith("determinism: ")
    assert reasons["ops/div.py"].startswith("over-limit")
    assert "the digests are the program's own claim" in reasons["ops/neg.py"]
    assert {line.partition(" (")[0] for line in record["source"]["rule_changes"]} >= {
        "ops/neg.py",
        "ops/div.py: golden",
    }


@pytest.mark.parametrize("of", [unseen.PYTEST, unseen.CSV], ids=lambda each: each.name)
def test_a_harmless_change_passes_with_the_bits_and_the_time_of_its_base(of: UnseenRepository, tmp_path: Path) -> None:
    record = validated(tmp_path, of.change, of, repeats=1)

    assert record["verdict"] == "passed", record["reason"]
    gates = {gate["name"]: gate["status"] for gate in record["gates"]}
    assert (gates["determinism"], gates["regression"]) == ("passed", "passed")
    told = next(each for each in record["harness"]["files"] if each["file"] == of.target)
    assert "the merge base passes with the same bits" in told["base"]
