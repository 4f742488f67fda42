"""What of an interrupted run is taken over, and what is left to measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import UsageError
from farm.execution import plan
from farm.model.run import BaseRecord, RunRecord, RunRequest, SourceRequest, Verdict
from farm.source import programs
from farm.validation import resume
from farm.validation.resume import ReusedTrials
from jobs.records import Arm, Failure, Fault, TrialRecord, TrialStatus
from tests.fakes.commits import Commits
from tests.farm import samples

DEVICES = ["n/0", "n/1", "n/2"]
SLOTS = dict(enumerate(DEVICES))


def request(repeats: int = 3) -> RunRequest:
    return RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny", "flash-s1"],
        platform="a2a3sim",
        devices=3,
        repeats=repeats,
        input_set="documented",
        seed=0,
    )


def done(case: str, device: str, repeat: int) -> TrialRecord:
    return samples.trial(device, repeat).model_copy(update={"case": case})


def test_without_anything_taken_over_the_whole_plan_is_left() -> None:
    whole = plan.make(request(), warm_up=True)
    assert resume.remaining(whole, [], SLOTS) == whole


def test_each_device_goes_on_with_its_own_series() -> None:
    whole = plan.make(request(), warm_up=False)
    taken = [done("tiny", "n/1", 0), done("tiny", "n/1", 1), done("tiny", "n/0", 0)]

    left = resume.remaining(whole, taken, SLOTS)

    tiny = {(trial.slot, trial.repeat) for trial in left.trials if trial.case == "tiny"}
    assert tiny == {(0, 1), (0, 2), (1, 2), (2, 0), (2, 1), (2, 2)}


def test_the_series_of_a_device_that_is_gone_is_finished_elsewhere() -> None:
    whole = plan.make(request(), warm_up=False)
    taken = [done("tiny", "n/7", repeat) for repeat in range(3)]

    left = resume.remaining(whole, taken, SLOTS)

    assert sum(trial.case == "tiny" for trial in left.trials) == 6
    assert sum(trial.case == "flash-s1" for trial in left.trials) == 9


def test_a_warm_up_is_made_again_where_its_case_goes_on_and_nowhere_else() -> None:
    whole = plan.make(request(), warm_up=True)
    taken = [done("tiny", "n/0", repeat) for repeat in range(3)]

    left = resume.remaining(whole, taken, SLOTS)

    assert [trial.case for trial in left.trials if trial.slot == 0 and trial.repeat < 0] == ["flash-s1"]


CELLS = st.sets(st.tuples(st.sampled_from(["tiny", "flash-s1"]), st.sampled_from(DEVICES), st.integers(0, 2)))


@given(CELLS, st.permutations(DEVICES))
def test_taken_and_left_are_the_whole_plan_once(cells: set[tuple[str, str, int]], leased: list[str]) -> None:
    whole = plan.make(request(), warm_up=False)
    left = resume.remaining(whole, [done(*cell) for cell in sorted(cells)], dict(enumerate(leased)))

    measured = [*cells, *((trial.case, leased[trial.slot], trial.repeat) for trial in left.trials)]
    assert len(measured) == len(set(measured)) == len(whole.trials)


@pytest.mark.parametrize(("verdict", "word"), [(Verdict.PASSED, "passed"), (None, "still running")])
def test_a_run_with_an_answer_or_without_an_end_is_not_resumed(verdict: Verdict | None, word: str) -> None:
    record = samples.running().model_copy(update={"verdict": verdict})
    with pytest.raises(UsageError, match=word):
        resume.require(record)


def test_only_finished_trials_of_the_same_program_are_taken_over() -> None:
    trials = [samples.trial("n/0", 0), samples.lost_trial("n/1", 0)]
    build = samples.build()
    old = samples.running().model_copy(update={"builds": [build], "trials": trials, "verdict": Verdict.ERRORED})

    assert resume.finished(old, [build], [], []) == ReusedTrials((trials[0],))
    other = build.model_copy(update={"address": "f" * 64})
    assert resume.finished(old, [other], [], []) == ReusedTrials()
    assert resume.finished(old.model_copy(update={"builds": []}), [build], [], []) == ReusedTrials()


def test_rounds_beyond_those_asked_for_are_measured_again() -> None:
    old = interrupted(rounds=5)

    assert {trial.repeat for trial in resume.finished(old, [samples.build()], [], []).head} == {0, 1, 2}


def test_logs_go_along_where_they_can_be_read(tmp_path: Path) -> None:
    trial = samples.trial("n/0", 0).model_copy(update={"log": "logs/a/platform.log"})
    build = samples.build()
    old = samples.run(builds=[build], trials=[trial], directory=str(tmp_path / "old"))
    (tmp_path / "old/logs/a").mkdir(parents=True)
    (tmp_path / "old/logs/a/platform.log").write_text("said")

    taken = resume.finished(old, [build], [], [])
    resume.copy_logs(old, taken, tmp_path / "new")

    assert [each.status for each in taken.head] == [TrialStatus.OK]
    assert (tmp_path / "new/logs/a/platform.log").read_text() == "said"


def interrupted(
    rounds: int = 3, source: SourceRequest | None = None, base: BaseRecord | None = None, **changes: Any
) -> RunRecord:
    """A run on two devices that was interrupted, with `rounds` of the head's trials on each."""
    trials = [samples.trial(device, repeat) for device in DEVICES[:2] for repeat in range(rounds)]
    asked = samples.run().request.model_copy(update={"source": source})
    values = {"trials": trials, "builds": [samples.build()], "verdict": Verdict.ERRORED, "request": asked, "base": base}
    return samples.running(**{**values, **changes})


def asked_for(base: str = "") -> SourceRequest:
    return SourceRequest(repository="/nowhere", commit="a" * 40, base=base)


def rounds_of(trials: Sequence[TrialRecord]) -> set[tuple[str, int]]:
    return {(trial.device, trial.repeat) for trial in trials}


def base_with(rounds: set[tuple[str, int]], lost: set[tuple[str, int]] | None = None) -> BaseRecord:
    trials = [samples.trial(*each, arm=Arm.BASE) for each in sorted(rounds)]
    trials += [samples.lost_trial(*each, arm=Arm.BASE) for each in sorted(lost or ())]
    return samples.merge_base(trials=trials)


def test_of_a_commits_run_only_what_its_own_devices_measured_is_taken_over() -> None:
    old = interrupted(source=asked_for())

    taken = resume.finished(old, [samples.build()], [], ["n/1", "n/2"])

    assert rounds_of(taken.head) == {("n/1", 0), ("n/1", 1), ("n/1", 2)}


def test_a_round_of_head_and_base_is_taken_over_whole_or_not_at_all() -> None:
    base = base_with({("n/0", 0), ("n/0", 1), ("n/1", 0)}, lost={("n/1", 1)})
    old = interrupted(source=asked_for("b" * 40), base=base)

    taken = resume.finished(old, [samples.build()], [samples.build()], DEVICES)

    assert rounds_of(taken.head) == rounds_of(taken.base) == {("n/0", 0), ("n/0", 1), ("n/1", 0)}
    assert {trial.arm for trial in taken.base} == {Arm.BASE}


def test_without_the_bases_trials_or_with_another_base_every_round_is_made_again() -> None:
    everything = {(device, repeat) for device in DEVICES[:2] for repeat in range(3)}
    other = samples.build(address="f" * 64)
    killed = interrupted(source=asked_for("b" * 40), base=None)
    changed = interrupted(source=asked_for("b" * 40), base=base_with(everything))

    assert resume.finished(killed, [samples.build()], [samples.build()], DEVICES) == ReusedTrials()
    assert resume.finished(changed, [samples.build()], [other], DEVICES) == ReusedTrials()


def test_a_failure_that_is_the_kernels_stands_wherever_it_was() -> None:
    failure = Failure(fault=Fault.KERNEL, kind="unwritten-output", message="q was not written")
    failed = samples.lost_trial("n/0", status=TrialStatus.FAILED, failure=failure)
    old = interrupted(source=asked_for("b" * 40), base=base_with(set()), trials=[failed])

    assert resume.finished(old, [samples.build()], [samples.build()], ["n/2"]).head == (failed,)


def test_both_arms_of_a_finished_round_are_left_out_and_every_control_is_made_again() -> None:
    sourced = plan.Sourced("a" * 64, "b" * 64, control_seed=5)
    whole = plan.make(request(), warm_up=False, sourced=sourced)
    taken = [done("tiny", "n/0", repeat) for repeat in range(3)]

    left = resume.remaining(whole, taken, SLOTS)

    tiny = [(trial.slot, trial.repeat, trial.arm) for trial in left.trials if trial.case == "tiny" and trial.slot == 0]
    assert tiny == [(0, 0, Arm.CONTROL)]
    assert sum(trial.arm is Arm.BASE for trial in left.trials) == sum(trial.arm is Arm.HEAD for trial in left.trials)


@pytest.mark.parametrize(
    ("source", "keep", "is_new"),
    [
        (asked_for(), False, True),  # also where a run was interrupted before its seed was drawn
        (asked_for(), True, False),
        (asked_for().model_copy(update={"draw_seed": False}), False, False),
        (None, False, False),
    ],
)
def test_a_seed_is_drawn_unless_trials_on_the_old_one_stand(
    source: SourceRequest | None, keep: bool, is_new: bool
) -> None:
    asked = request().model_copy(update={"seed": 7, "source": source})

    assert (programs.drawn(asked, keep=keep).seed != 7) is is_new


def refusal(source: SourceRequest) -> str:
    """Why a run of this source may not go on; empty where it may."""
    try:
        resume.require(interrupted(source=source, base=base_with(set())))
    except UsageError as error:
        return str(error)
    return ""


def test_a_run_whose_commits_are_still_there_may_go_on(tmp_path: Path) -> None:
    commits = Commits(tmp_path / "repository")
    source = SourceRequest(repository=str(commits.path), commit=commits.commit(), base=commits.ids[0])

    assert refusal(source) == ""


@pytest.mark.parametrize("gone", ["commit", "base", "repository"])
def test_a_run_whose_commits_are_gone_is_refused_in_one_line(tmp_path: Path, gone: str) -> None:
    commits = Commits(tmp_path / "repository")
    there = SourceRequest(repository=str(commits.path), commit=commits.commit(), base=commits.ids[0])
    missing = str(tmp_path / "moved") if gone == "repository" else "c" * 40

    refused = refusal(there.model_copy(update={gone: missing}))

    assert "no longer has its commits; fetch them, or run it again" in refused
    assert "\n" not in refused
