"""Trials of a repository that must be set up: what they run from, and what is left of a set-up that fails."""

from __future__ import annotations

from pathlib import Path

from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.harness import step_files
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Profile, parse
from kernel.platforms.command import Command

PROFILE = """
name = "mine"
summary = "made for a test"
command = ["sh", "{file}", "{device}"]
files = { include = ["run.sh"] }
platforms = { sim = { simulated = true, clock = "host", canary = "run.sh" } }
results = { by = "exit" }
environment = { set = { OURS = "the profile's" } }
toolchain = [{ name = "tool", command = ["sh", "{root}/out/tool"] }]

[[setup]]
name = "build"
command = ["sh", "build.sh", "{output}"]
outputs = ["out"]
activate = ["{root}/set_env.sh"]
"""
BUILD = 'mkdir "$1"; echo "echo 7.1" > "$1/tool"; echo built'


def repository(place: Path, build: str = BUILD) -> Path:
    root = place / "repository"
    root.mkdir(parents=True, exist_ok=True)
    (root / "build.sh").write_text(build)
    (root / "set_env.sh").write_text("export FROM_SCRIPT=1 OURS=changed LD_PRELOAD=")
    (root / "run.sh").write_text('echo "$(sh $(dirname $0)/out/tool) $FROM_SCRIPT $OURS"')
    return root


def command(place: Path) -> Command:
    made: Profile = parse(PROFILE, "mine.toml")
    platform = Command(made, "sim", place / "repository")
    platform.prepare(place / "cache")
    return platform


def trial(platform: Command, place: Path, name: str) -> TrialRecord:
    return run_trial(
        TrialRequest(kernel="mine", case="run.sh", platform="sim", input_set="own"),
        device=5,
        device_id="node/5",
        repeat=0,
        attempt=0,
        platform=platform,
        directory=place / name,
        cache_dir=place / "cache",
        kernel=HarnessKernel(platform.profile, platform.root, ("run.sh",)),
    )


def test_a_trial_has_what_the_set_up_made_and_the_first_on_a_machine_makes_it(tmp_path: Path) -> None:
    root = repository(tmp_path)

    records = [trial(command(tmp_path), tmp_path, name) for name in ("first", "second")]
    left = [list(step_files.left([tmp_path / name])) for name in ("first", "second")]

    assert [record.status for record in records] == [TrialStatus.OK, TrialStatus.OK], records[0].failure
    assert (tmp_path / "second" / records[1].log).read_text() == "7.1 1 the profile's\n"
    assert not (root / "out").exists()
    assert [step.name for _, step in left[0]] == ["build"]
    assert left[0][0][1].log == tmp_path / "first" / "set-up-build.log"
    assert (tmp_path / "first" / "set-up-build.log").read_text() == "built\n"
    assert left[1] == []


def test_a_set_up_that_fails_is_nobodys_fault_yet_and_its_log_is_the_trials(tmp_path: Path) -> None:
    repository(tmp_path, "echo 'a.cpp:1: error: no type'; exit 2")

    record = trial(command(tmp_path), tmp_path, "trial")

    assert record.failure is not None
    assert (record.status, record.failure.fault, record.failure.kind) == (TrialStatus.ERRORED, Fault.NODE, "setup")
    assert "set-up step build: exit code 2; it printed: a.cpp:1: error: no type" in record.failure.message
    assert (tmp_path / "trial" / record.log).read_text() == "a.cpp:1: error: no type\n"


def test_versions_are_those_of_the_set_up_once_it_is_made(tmp_path: Path) -> None:
    repository(tmp_path)
    platform = command(tmp_path)
    before = platform.toolchain()["tool"]

    platform.set_up()

    assert before.startswith("unknown: ")
    assert platform.toolchain()["tool"] == "7.1"


def test_a_canary_that_needs_the_set_up_runs_once_it_is_made(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "probe").mkdir()
    before = command(tmp_path).probe(0, tmp_path / "probe")
    command(tmp_path).set_up()

    after = command(tmp_path).probe(0, tmp_path / "probe")

    assert (before.healthy, after.healthy) == (True, True)
    assert "the canary was not run: set-up step build has not been run" in before.detail
    assert after.detail == "run.sh: passed"
