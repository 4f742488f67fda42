"""What of an interrupted run is taken over, and what is left to measure."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import plan, resume
from farm.errors import UsageError
from farm.record import RunRequest, Verdict
from jobs.records import TrialRecord, TrialStatus
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


def test_only_finished_trials_of_the_same_program_are_taken_over(tmp_path: Path) -> None:
    trials = [samples.trial("n/0", 0), samples.lost_trial("n/1", 0)]
    build = samples.build()
    old = samples.running().model_copy(
        update={"builds": [build], "trials": trials, "verdict": Verdict.ERRORED, "directory": str(tmp_path)}
    )

    assert resume.take_over(old, [build], tmp_path / "new") == trials[:1]
    other = build.model_copy(update={"address": "f" * 64})
    assert resume.take_over(old, [other], tmp_path / "new") == []
    assert resume.take_over(old.model_copy(update={"builds": []}), [build], tmp_path / "new") == []


def test_logs_go_along_where_they_can_be_read(tmp_path: Path) -> None:
    trial = samples.trial("n/0", 0).model_copy(update={"log": "logs/a/platform.log"})
    build = samples.build()
    old = samples.run(builds=[build], trials=[trial], directory=str(tmp_path / "old"))
    (tmp_path / "old/logs/a").mkdir(parents=True)
    (tmp_path / "old/logs/a/platform.log").write_text("said")

    taken = resume.take_over(old, [build], tmp_path / "new")

    assert [each.status for each in taken] == [TrialStatus.OK]
    assert (tmp_path / "new/logs/a/platform.log").read_text() == "said"
