"""One confined trial of each kind of repository that the farm has never seen, by a profile of at most 25 lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.records import TrialRecord, TrialRequest, TrialStatus
from jobs.sandbox import bubblewrap
from jobs.sandbox.source_tree import Tree
from jobs.sandbox.spec import SuiteConfinement
from jobs.trial import run_trial
from kernel.harness.profile import parse
from kernel.platforms.command import Command
from tests.fakes import unseen_repositories as unseen
from tests.fakes.unseen_repositories import UnseenRepository

MOST_LINES = 25


def trial(of: UnseenRepository, place: Path, target: str = "", **changed: str) -> TrialRecord:
    """The record of one target, in a commit with `changed` contents of that target's file."""
    profile, target = parse(of.profile, f"{of.name}.toml"), target or of.target
    files = {**of.files, **({target: changed["text"]} if changed else {})}
    tree = Tree.of(".", {path: text.encode() for path, text in files.items()})
    confinement = SuiteConfinement(profile, (tree,), require_sandbox=True)
    tuning = {"save": str(place / "kept")} if profile.data.frozen_by_wrapper else {}
    request = TrialRequest(
        kernel=of.name, case=target, platform="npu", input_set="own", tree=tree.address, tuning=tuning
    )
    kernel, platform = confinement.arrange(request, Command(profile, "npu", place), place / "cache")
    return run_trial(request, 1, "node/1", 0, 0, platform, place / "trial", place / "cache", kernel=kernel)


@pytest.mark.parametrize("of", unseen.EVERY, ids=lambda each: each.name)
def test_its_profile_is_short(of: UnseenRepository) -> None:
    assert len(of.profile.splitlines()) <= MOST_LINES


@pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)
@pytest.mark.parametrize(
    ("of", "us", "output", "by"),
    [(unseen.PYTHON, 12.5, "add", "process"), (unseen.PYTEST, 4.25, "", "process"), (unseen.CSV, 8.25, "add", "file")],
    ids=["python", "pytest", "csv"],
)
def test_a_trial_has_its_verdict_its_time_and_its_digests(
    of: UnseenRepository, us: float, output: str, by: str, tmp_path: Path
) -> None:
    record = trial(of, tmp_path)

    assert record.status is TrialStatus.OK, record.failure
    assert record.wall_us == us, record.untimed
    assert record.claims and all(claim.passed for claim in record.claims.values())
    digested = {name: claim.digest_by for name, claim in record.claims.items() if claim.sha256}
    assert set(digested.values()) == {by}, (record.claims, record.undigested)
    assert not output or output in digested


@pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)
def test_what_is_wrong_is_measured_and_what_is_hostile_changes_nothing(tmp_path: Path) -> None:
    wrong = trial(unseen.PYTHON, tmp_path / "a", text=unseen.WRONG)
    hostile = trial(unseen.PYTHON, tmp_path / "b", text=unseen.HOSTILE)

    assert (wrong.status, wrong.claims["add"].passed) == (TrialStatus.OK, False)
    assert hostile.failure is not None
    assert hostile.failure.kind == "over-limit"
    assert "did it" not in (tmp_path / "b" / "trial" / hostile.log).read_text()
