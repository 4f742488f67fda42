"""What the gates say of a harness's files: budgets of the profile, and times that are never gated."""

from __future__ import annotations

import pytest

from farm.gates.budget import budget_records
from farm.harness import gates as judging
from farm.harness.file_selection import Found
from farm.harness.verdict import file_records
from farm.model.run import FileStatus, GateStatus
from jobs.records import ClaimRecord, TrialRecord
from kernel.clock import Clock
from kernel.harness.head import Head
from kernel.harness.profile import Ceiling, Data, Timing

HEAD = Head(runnable=True, devices=1, skipped="", replays=False)
FOUND = Found({"a.py": HEAD, "b.py": HEAD}, {}, 0)
CEILINGS = {"a.py": Ceiling(ceiling_us=100.0, source="published"), "gone.py": Ceiling(ceiling_us=1.0, source="old")}


def trials(*times_us: float) -> list[TrialRecord]:
    """Of both files; only the first has a budget."""
    return [
        TrialRecord.model_validate(
            {
                "case": file,
                "device": "n/0",
                "repeat": repeat,
                "attempt": 0,
                "status": "ok",
                "clock": "measured",
                "wall_us": us,
                "claims": {"y": ClaimRecord(passed=True)},
            }
        )
        for file in FOUND.files
        for repeat, us in enumerate(times_us)
    ]


@pytest.mark.parametrize(
    ("times_us", "status", "file"),
    [
        ((99.0,) * 5, GateStatus.PASSED, FileStatus.PASSED),
        ((101.0,) * 5, GateStatus.FAILED, FileStatus.FAILED),
        ((99.0, 101.0) * 3, GateStatus.INCONCLUSIVE, FileStatus.ERRORED),
        ((99.0,), GateStatus.INCONCLUSIVE, FileStatus.ERRORED),  # one sample on a noisy clock decides nothing
    ],
)
def test_a_file_is_held_to_the_budget_of_its_profile(
    times_us: tuple[float, ...], status: GateStatus, file: FileStatus
) -> None:
    measured = trials(*times_us)
    evidence = judging.evidence(
        FOUND, Data(), measured, Clock.MEASURED, CEILINGS, judging.once_planned(FOUND, len(times_us))
    )
    gates = judging.judge(evidence, "a2a3", Timing.MEASURED)

    assert gates[2].status is status
    files = file_records(FOUND.files, {}, measured, gates, {}, dict.fromkeys(FOUND.files, len(times_us)), "")
    assert {record.file: record.status for record in files} == {"a.py": file, "b.py": FileStatus.PASSED}
    assert [(name, record.ceiling_us) for name, record in budget_records(evidence).items()] == [("a.py", 100.0)]


@pytest.mark.parametrize(
    ("times_us", "status"),
    [((99.0, 99.0), FileStatus.PASSED), ((99.0, 49.0), FileStatus.ERRORED), ((200.0, 100.0), FileStatus.ERRORED)],
)
def test_a_cost_models_time_of_a_file_is_one(times_us: tuple[float, ...], status: FileStatus) -> None:
    measured = [each.model_copy(update={"clock": Clock.SIMULATED}) for each in trials(*times_us)]
    planned = judging.once_planned(FOUND, len(times_us))
    evidence = judging.evidence(FOUND, Data(), measured, Clock.SIMULATED, {}, planned)
    gates = judging.judge(evidence, "sim", Timing.SIMULATED)

    files = file_records(FOUND.files, {}, measured, gates, {}, dict.fromkeys(FOUND.files, len(times_us)), "")
    assert {record.file: record.status for record in files}["a.py"] is status
    assert [each.name for each in gates] == ["tolerance", "determinism", "clock", "budget"]


@pytest.mark.parametrize(
    ("timing", "why"), [(Timing.HOST, "never gated"), (Timing.MEASURED, "the profile has no budget")]
)
def test_without_a_budget_no_time_is_gated(timing: Timing, why: str) -> None:
    evidence = judging.evidence(FOUND, Data(), trials(5.0), Clock.MEASURED, {}, judging.once_planned(FOUND, 1))
    gate = judging.judge(evidence, "a2a3", timing)[2]

    assert gate.status is GateStatus.NOT_APPLICABLE
    assert why in gate.findings[0].message
