"""Whether a failure is the program's doing or one device's can be read off the trials."""

from __future__ import annotations

from farm.analysis.figures import gate
from farm.model.run import GateRecord, RunRecord
from farm.report.run.attribution import attribution
from tests.farm import planted, samples


def of(record: RunRecord, name: str) -> list[str]:
    judged = gate(record, name)
    assert judged is not None
    return attribution(record, judged)


def test_the_same_wrong_bits_on_every_device_are_the_programs() -> None:
    assert of(planted.wrong_program(), "tolerance") == [
        "Output q is wrong on all 3 devices, with the same wrong bits: it is the program, not a device."
    ]


def test_what_one_device_alone_gets_wrong_is_said_with_who_gets_it_right() -> None:
    assert of(samples.tolerance_failure(), "tolerance") == [
        "Output q is wrong only on 10.0.0.1/1; 10.0.0.1/0, 10.0.0.1/2 computed it within its tolerance."
    ]


def test_a_suspect_devices_numbers_are_told_and_why_the_other_gates_passed() -> None:
    assert of(planted.wrong_numbers(), "determinism") == [
        "Output q is also outside its tolerance on 10.0.0.1/1: "
        "130,023 of 4,194,304 elements (3.1%) are outliers, 20,971 allowed.",
        "The other gates leave out 10.0.0.1/1: it is suspect, which is not held against the kernel.",
    ]


def test_of_a_race_within_tolerance_only_the_bits_differ() -> None:
    assert of(planted.race(), "determinism") == [
        "Every result of output kv is within its tolerance; only the bits differ.",
        "The other gates leave out 10.0.0.1/1: it is suspect, which is not held against the kernel.",
    ]


def test_wrong_numbers_on_one_leased_device_are_nobodys_in_particular() -> None:
    record = planted.wrong_program()
    alone = [trial for trial in record.trials if trial.device == planted.CULPRIT]

    assert of(planted.judged(record.model_copy(update={"trials": alone})), "tolerance") == []


def test_the_budget_says_nothing_of_outputs() -> None:
    judged: GateRecord | None = gate(planted.slow_stage(), "budget")
    assert judged is not None
    assert attribution(planted.slow_stage(), judged) == []
