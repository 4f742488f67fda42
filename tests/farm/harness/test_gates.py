"""What the gates say of a harness's files: budgets of the profile, and times that are never gated."""

from __future__ import annotations

import pytest

from farm.gates.budget import budget_records
from farm.gates.protocol import PlannedMeasurement
from farm.harness import gates as judging
from farm.harness.file_selection import Found
from farm.harness.verdict import file_records
from farm.model.run import FileStatus, GateRecord, GateStatus
from jobs.records import ClaimRecord, TrialRecord
from kernel.clock import Clock
from kernel.harness.head import Head
from kernel.harness.profile import Ceiling, Data, Digests, Timing

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


def with_claims(*claims: dict[str, ClaimRecord], undigested: str = "") -> list[TrialRecord]:
    """Trials of "a.py", each on a device of its own."""
    blank = trials(99.0)[0].model_copy(update={"undigested": undigested})
    return [blank.model_copy(update={"device": f"n/{place}", "claims": each}) for place, each in enumerate(claims)]


def determinism(measured: list[TrialRecord], data: Data) -> GateRecord:
    found = Found({"a.py": HEAD}, {}, 0)
    planned = [PlannedMeasurement("a.py", 0, 0) for _ in measured]
    evidence = judging.evidence(found, data, measured, Clock.MEASURED, {}, planned)
    return judging.judge(evidence, "a2a3", Timing.MEASURED)[1]


OWN = Data(digests=Digests(function="m:f", argument="x", inputs="m:g"))
Y, Z = (ClaimRecord(passed=True, sha256=bits * 64, digest_by="process") for bits in "yz")
WHOLE = ClaimRecord(passed=True, whole=True)


@pytest.mark.parametrize(
    ("claims", "data", "status", "told"),
    [
        (({"y": Y}, {"y": Y}, {"y": Y}), OWN, GateStatus.PASSED, ""),
        (({"y": Y, "test_y": WHOLE}, {"y": Y, "test_y": WHOLE}), OWN, GateStatus.PASSED, ""),
        (({"y": Y}, {"y": Z}, {"y": Y}), OWN, GateStatus.ERRORED, "two explanations remain"),
        (({"y": Y}, {"y": ClaimRecord(passed=True)}), OWN, GateStatus.ERRORED, "the output has no digest"),
        (({"y": Y}, {}), OWN, GateStatus.ERRORED, "the output has no digest"),
        (({"e": WHOLE}, {"e": WHOLE}), OWN, GateStatus.NOT_APPLICABLE, "no digests of its outputs: m:f was not called"),
        (
            ({"y": Y}, {"y": Y}),
            Data(digests=Digests(function="m:f", argument="x")),
            GateStatus.NOT_APPLICABLE,
            "every run draws inputs of its own",
        ),
    ],
)
def test_what_a_program_says_of_its_bits_is_compared(
    claims: tuple[dict[str, ClaimRecord], ...], data: Data, status: GateStatus, told: str
) -> None:
    gate = determinism(with_claims(*claims, undigested="m:f was not called"), data)

    assert gate.status is status
    assert told in (gate.findings[0].message if gate.findings else "")


def test_a_file_whose_digests_are_its_own_word_is_said_to_be_so() -> None:
    measured = with_claims({"y": Y}, {"y": Y})

    record, *_ = file_records({"a.py": HEAD}, {}, measured, [], {}, {"a.py": 2}, "")

    assert record.reason == "1 output in 2 trials; the digests are the program's own claim"
