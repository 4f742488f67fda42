"""`junit.xml`: what CI servers load, whose fault is shown as whose, and the schema they hold it to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import junitparser
import pytest
import xmlschema

from farm.model.run import Finding, GateStatus, RunRecord, Verdict
from farm.report.junit.report import JunitReport
from jobs.records import Failure, Fault, TrialStatus
from tests.farm import samples

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[2] / "data" / "junit.xsd"))
HOSTILE = 'x"><!--]]>&amp;<script>\x00\x1b[31m\ud7ff\ufffe\n\t|`@all'


def lost_and_found() -> RunRecord:
    lost = samples.lost_trial("10.0.0.1/1")
    again = samples.trial("10.0.0.1/0", attempt=1)
    devices = [samples.device(index) for index in range(2)]
    return samples.run(devices=devices, trials=[samples.trial("10.0.0.1/0"), lost, again])


def lost_for_good() -> RunRecord:
    record = lost_and_found()
    return record.model_copy(
        update={"trials": record.trials[:2], "verdict": Verdict.ERRORED, "reason": "a device hung"}
    )


def hostile() -> RunRecord:
    failure = Failure(fault=Fault.KERNEL, kind=HOSTILE, message=HOSTILE, log=HOSTILE)
    trial = samples.trial(
        "10.0.0.1/0", case=HOSTILE, status=TrialStatus.FAILED, failure=failure, outputs={HOSTILE: samples.output("q")}
    )
    gates = samples.failed_gate("budget", Finding(message=HOSTILE, case=HOSTILE, device=HOSTILE))
    return samples.run(
        cases=[HOSTILE],
        kernel=HOSTILE,
        commit=HOSTILE,
        verdict=Verdict.FAILED,
        reason=HOSTILE,
        started_at=HOSTILE,
        toolchain={HOSTILE: HOSTILE},
        devices=[samples.device(0, node=HOSTILE)],
        trials=[trial],
        gates=gates,
    )


def hostile_commit() -> RunRecord:
    return samples.from_commit(rule_changes=[HOSTILE], isolation=f"none: {HOSTILE}", base=samples.merge_base(HOSTILE))


def bare() -> RunRecord:
    return samples.running(devices=[], budget={}, toolchain={}, cases=[])


def load(record: RunRecord) -> dict[str, junitparser.TestSuite]:
    return {suite.name: suite for suite in junitparser.JUnitXml.fromstring(JunitReport().write(record))}


def results(suite: junitparser.TestSuite) -> dict[str, str]:
    """Test case → the tag of its result, or `passed`."""
    return {f"{case.classname} {case.name}": case.result[0]._tag if case.result else "passed" for case in suite}


def red(record: RunRecord) -> dict[str, str]:
    """Every failure and error of the document, by suite and test case."""
    return {
        f"{name} {case}": tag
        for name, suite in load(record).items()
        for case, tag in results(suite).items()
        if tag in ("failure", "error")
    }


RUNS = [
    samples.run,
    samples.running,
    samples.tolerance_failure,
    samples.compile_failure,
    samples.odd_device,
    samples.over_budget,
    lost_and_found,
    lost_for_good,
    hostile,
    bare,
    samples.from_commit,
    samples.slower_than_base,
    samples.base_not_built,
    hostile_commit,
]


@pytest.mark.parametrize("make", RUNS)
def test_every_document_obeys_the_common_schema(make: Callable[[], RunRecord]) -> None:
    assert list(SCHEMA.iter_errors(JunitReport().write(make()).decode("utf-8"))) == []


def test_the_schema_is_strict_enough_to_notice() -> None:
    text = JunitReport().write(samples.run()).decode("utf-8")

    assert not SCHEMA.is_valid(text.replace(' hostname="10.0.0.1"', "", 1))
    assert not SCHEMA.is_valid(text.replace('timestamp="2026-11-23T14:00:00"', 'timestamp="2026-11-23T14:00:00Z"', 1))
    assert not SCHEMA.is_valid(text.replace("<system-err />", "").replace("<system-err></system-err>", ""))


@pytest.mark.parametrize("make", RUNS)
def test_counts_agree_with_the_cases(make: Callable[[], RunRecord]) -> None:
    for suite in load(make()).values():
        tags = list(results(suite).values())
        assert len(tags) == len(list(suite)), "test cases have distinct names"
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
            len(tags),
            tags.count("failure"),
            tags.count("error"),
            tags.count("skipped"),
        )


def test_there_is_a_suite_per_device_and_one_per_gate_across_devices() -> None:
    suites = load(samples.run())

    assert list(suites) == ["slot 0", "slot 1", "slot 2", "determinism", "budget"]
    first = results(suites["slot 0"])
    named = [f"slot 0/r{repeat}/tolerance/{name}" for repeat in range(3) for name in samples.OUTPUTS]
    assert list(first) == [f"qkv_proj_rope.flash-s2 {name}" for name in ["slot 0/build", *named]]
    assert list(results(suites["determinism"])) == [
        f"qkv_proj_rope.flash-s2 determinism/{name}" for name in samples.OUTPUTS
    ]
    assert list(results(suites["budget"])) == ["qkv_proj_rope.flash-s2 budget"]


def test_a_passed_run_is_green() -> None:
    assert red(samples.run()) == {}


def test_an_output_out_of_tolerance_is_a_failure_of_that_output_only() -> None:
    record = samples.tolerance_failure()
    finding = record.gates[0].findings[0]
    everyone = [finding.model_copy(update={"repeat": repeat}) for repeat in range(3)]
    record = record.model_copy(update={"gates": samples.failed_gate("tolerance", *everyone)})

    assert red(record) == {
        f"slot 1 qkv_proj_rope.flash-s2 slot 1/r{repeat}/tolerance/q": "failure" for repeat in range(3)
    }


def test_what_a_suspect_device_got_wrong_is_not_held_against_the_kernel() -> None:
    record = samples.tolerance_failure().model_copy(update={"gates": samples.gates(), "verdict": Verdict.ERRORED})

    assert set(red(record).values()) == {"error"}


def test_a_compile_error_is_a_failure_on_every_device() -> None:
    assert red(samples.compile_failure()) == {
        f"slot {index} qkv_proj_rope.flash-s2 slot {index}/build": "failure" for index in range(3)
    }


def test_a_trial_on_a_device_the_run_did_not_list_is_shown() -> None:
    record = samples.run(trials=[samples.trial("10.0.0.9/7")], devices=[])

    assert "qkv_proj_rope.flash-s2 spare 0/r0/tolerance/q" in results(load(record)["spare 0"])


def test_builds_are_shown_where_no_device_was_leased() -> None:
    record = samples.compile_failure().model_copy(update={"devices": []})

    assert red(record) == {"build qkv_proj_rope.flash-s2 build": "failure"}


def test_a_gate_that_did_not_apply_is_skipped_with_its_reason() -> None:
    why = Finding(message="the budget file has no entry for this case", case=samples.CASE)
    record = samples.run(gates=samples.failed_gate("budget", why, status=GateStatus.NOT_APPLICABLE))

    (case,) = load(record)["budget"]

    assert case.is_skipped
    assert case.result[0].message == "the budget file has no entry for this case"


def test_a_suspect_device_is_an_error_of_the_output_it_differs_in() -> None:
    assert red(samples.odd_device()) == {"determinism qkv_proj_rope.flash-s2 determinism/kv": "error"}


def test_over_budget_is_a_failure_with_both_numbers() -> None:
    (case,) = load(samples.over_budget())["budget"]

    assert case.is_failure
    assert "95.50 µs over the ceiling of 90.00 µs" in case.result[0].message


def test_a_note_on_one_case_is_no_failure_of_it_when_another_fails() -> None:
    bad = Finding(message="over the ceiling", case="flash-s1")
    note = Finding(message="faster than the best landed", case=samples.CASE, status=GateStatus.PASSED)
    gates = samples.failed_gate("budget", bad, note)
    record = samples.run(cases=["flash-s1", samples.CASE], gates=gates, verdict=Verdict.FAILED)

    assert red(record) == {"budget qkv_proj_rope.flash-s1 budget": "failure"}


def test_a_finding_of_no_case_in_the_run_still_shows() -> None:
    stray = Finding(message="what is this", case="elsewhere")
    record = samples.run(gates=samples.failed_gate("determinism", stray), verdict=Verdict.FAILED)

    assert red(record) == {"determinism qkv_proj_rope.run determinism": "failure"}


def test_a_lost_trial_that_was_measured_elsewhere_is_skipped() -> None:
    record = lost_and_found()

    assert red(record) == {}
    lost = results(load(record)["slot 1"])
    assert lost["qkv_proj_rope.flash-s2 slot 1/r0/trial"] == "skipped"
    assert "qkv_proj_rope.flash-s2 slot 0/r0 attempt 1/tolerance/q" in results(load(record)["slot 0"])


def test_a_trial_that_stayed_lost_is_an_error() -> None:
    assert red(lost_for_good()) == {"slot 1 qkv_proj_rope.flash-s2 slot 1/r0/trial": "error"}


@pytest.mark.parametrize(
    ("verdict", "expected"), [(Verdict.FAILED, "failure"), (Verdict.ERRORED, "error"), (None, "error")]
)
def test_no_run_that_did_not_pass_is_green(verdict: Verdict | None, expected: str) -> None:
    record = samples.run(verdict=verdict, reason="for a reason no test case shows")

    assert red(record) == {"run qkv_proj_rope.run verdict": expected}


def test_a_fault_of_no_trial_is_in_the_run_suite() -> None:
    fault = Failure(fault=Fault.NODE, kind="node-lost", message="node 10.0.0.9 went away")
    record = samples.run(verdict=Verdict.ERRORED, failures=[fault])

    assert red(record) == {"run qkv_proj_rope.run fault 0": "error"}


def test_properties_carry_what_is_needed_to_read_the_numbers() -> None:
    suite = load(samples.run())["slot 1"]
    properties = {prop.name: prop.value for prop in suite.properties()}

    assert properties["device"] == "10.0.0.1/1"
    assert properties["samples_us.flash-s2"] == "76.64 76.64 76.64"
    assert properties["commit"] == samples.run().commit
    assert properties["toolchain.pypto"] == "0.2.0"
    assert suite.hostname == "10.0.0.1"


def test_times_are_host_seconds_and_a_shared_build_counts_once() -> None:
    suites = load(samples.run())

    assert suites["slot 0"].time == pytest.approx(12.5 + 3 * 4.0)
    assert suites["slot 1"].time == pytest.approx(3 * 4.0)
    assert suites["budget"].time == 0.0


def test_hostile_text_stays_text() -> None:
    document = load(hostile())

    shown = next(case for case in document["spare 0"] if case.is_failure)
    assert "<script>" in shown.result[0].text
    assert "\x00" not in shown.result[0].text
    assert "\x1b" not in shown.result[0].text


def named(record: RunRecord, suite: str) -> dict[str, junitparser.TestCase]:
    return {case.name: case for case in load(record)[suite]}


def properties(record: RunRecord, suite: str) -> dict[str, str]:
    return {prop.name: prop.value for prop in load(record)[suite].properties()}


def test_a_commit_that_leaves_the_rules_alone_and_was_isolated_has_green_entries_alone() -> None:
    cases = named(samples.from_commit(), "program")

    green = {"rules": False, "gain": False, "isolation": False}
    assert {name: bool(case.result) for name, case in cases.items()} == green
    assert properties(samples.from_commit(), "slot 1")["isolation"] == "bubblewrap"


def test_changed_rules_are_shown_and_do_not_turn_a_pass_red() -> None:
    record = samples.from_commit(rule_changes=samples.CHANGED)
    case = named(record, "program")["rules"]

    assert case.is_skipped
    assert all(path in case.result[0].message for path in samples.CHANGED)
    assert "judged by the installed rules" in case.result[0].message
    assert properties(record, "program")["rules.changed.1"] == samples.CHANGED[1]
    assert red(record) == {}


def test_an_implausible_gain_is_shown_and_does_not_turn_a_pass_red() -> None:
    record = samples.from_commit(gains=samples.halved())
    case = named(record, "program")["gain"]

    assert case.is_skipped
    assert "flash-s2 takes 76.64 µs instead of 153.28 µs, 50 % less" in case.result[0].message
    assert red(record) == {}


def test_a_program_that_was_not_isolated_says_on_which_devices_and_why() -> None:
    case = named(samples.from_commit(isolation="none: bubblewrap is not installed"), "program")["isolation"]

    assert case.is_skipped
    assert case.result[0].message == ("not isolated on 10.0.0.1/0, 10.0.0.1/1, 10.0.0.1/2: bubblewrap is not installed")


def test_the_merge_base_carries_its_medians_ratio_interval_and_the_gates_answer() -> None:
    record = samples.slower_than_base()
    found = properties(record, "merge base")

    assert found["base.commit"] == samples.BASE
    assert float(found["base.median_us.flash-s2"]) == pytest.approx(76.64 / 1.1)
    assert found["head.median_us.flash-s2"] == "76.64"
    assert (found["ratio.flash-s2"], found["answer.flash-s2"]) == ("1.1", "worse")
    assert [float(bound) for bound in found["ratio.interval.flash-s2"].split()] == pytest.approx([1.09, 1.11])
    assert red(record) == {"regression qkv_proj_rope.flash-s2 regression": "failure"}


def test_a_base_that_was_tried_and_not_measured_is_an_error() -> None:
    assert red(samples.base_not_built()) == {
        "regression qkv_proj_rope.flash-s2 regression": "error",
        "merge base qkv_proj_rope.flash-s2 merge base": "error",
    }


def test_a_base_with_the_same_program_is_skipped_with_the_reason() -> None:
    lacks = "the program is the one of the merge base, byte for byte"
    record = samples.from_commit(base=samples.merge_base(tree="", lacks=lacks, builds=[], trials=[], comparison={}))
    case = named(record, "merge base")["merge base"]

    assert case.is_skipped
    assert case.result[0].message == lacks
    assert red(record) == {}


def test_the_installed_program_has_neither_suite() -> None:
    assert not {"program", "merge base"} & set(load(samples.run()))
