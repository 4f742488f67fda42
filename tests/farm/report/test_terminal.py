"""The summary a person sees: the answer first, within 80 columns, names taken as text."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from farm.model.run import Finding, RunRecord, Verdict
from farm.report.run.terminal import summary
from farm.text import signed_share
from jobs.records import Failure, Fault
from tests.farm import planted, samples


def shown(record: RunRecord, width: int = 80, colour: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None).print(
        summary(record)
    )
    return out.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        samples.run,
        samples.running,
        samples.tolerance_failure,
        samples.compile_failure,
        samples.odd_device,
        samples.over_budget,
        samples.slower_than_base,
        samples.base_not_built,
    ],
)
def test_no_line_is_longer_than_80_columns_and_no_number_is_cut(make: Callable[[], RunRecord]) -> None:
    text = shown(make())

    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


@pytest.mark.parametrize(
    ("make", "head"),
    [
        (samples.run, "✓ passed  all gates passed"),
        (samples.tolerance_failure, "✗ failed  q is out of tolerance"),
        (samples.odd_device, "! errored  device 10.0.0.1/2 is suspect"),
        (samples.running, "running  running"),
    ],
)
def test_the_verdict_and_its_reason_come_first(make: Callable[[], RunRecord], head: str) -> None:
    assert shown(make()).splitlines()[0] == head


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.PASSED, "\x1b[1;32m"), (Verdict.FAILED, "\x1b[1;31m"), (Verdict.ERRORED, "\x1b[1;33m")],
)
def test_each_verdict_has_its_colour(verdict: Verdict, code: str) -> None:
    assert code in shown(samples.run(verdict=verdict), colour=True).splitlines()[0]


def test_the_median_stands_against_budget_and_best_landed_time() -> None:
    text = shown(samples.over_budget())

    (line,) = [line for line in text.splitlines() if line.startswith("flash-s2 ")]
    assert line.split() == ["flash-s2", "95.50", "0.00", "76.50", "-24.8", "%", "best", "landed"]
    assert "budget failed" in text
    assert "simulated µs are a cost model's, not a device's" in text


def test_the_worst_of_each_output_is_shown_with_its_place() -> None:
    lines = shown(samples.tolerance_failure(), width=100).splitlines()

    (q,) = [line for line in lines if line.startswith("✗ q ")]
    assert "130,023 of 4,194,304" in q
    assert "10.0.0.1/1 r0" in q
    assert len([line for line in lines if line.startswith(("kv ", "qr ", "qr_scale "))]) == 3


def test_agreement_and_its_breach_are_told() -> None:
    assert "bit-identical on 3 devices × 3 repeats" in shown(samples.run())
    assert "kv on 10.0.0.1/2 (repeats 0, 1, 2) differs" in shown(samples.odd_device(), width=200)
    alone = samples.run(trials=[samples.trial("10.0.0.1/0")])
    assert "nothing to compare" in shown(alone)


def test_devices_that_measured_unequally_often_are_not_told_to_be_equal() -> None:
    """A device stood in for a lost one, and has its last repeats only."""
    trials = [samples.trial("10.0.0.1/0", repeat) for repeat in range(3)] + [samples.trial("10.0.0.1/1", 2)]

    assert "bit-identical on 2 devices × 1 to 3 repeats" in shown(samples.run(trials=trials))


def test_a_race_is_told_by_the_odd_repeat() -> None:
    other = {**{name: samples.output(name) for name in samples.OUTPUTS}, "q": samples.output("q", digest="raced")}
    trials = [samples.trial("10.0.0.1/0", repeat, outputs=other) for repeat in (1,)]
    trials += [samples.trial("10.0.0.1/0", repeat) for repeat in (0, 2)]

    assert "q on 10.0.0.1/0 (repeat 1) differs, of 1 device × 3 repeats" in shown(samples.run(trials=trials), width=200)


@pytest.mark.parametrize(("value", "said"), [(-0.00001, "+0.0 %"), (-0.0006, "-0.1 %"), (0.125, "+12.5 %")])
def test_a_difference_too_small_to_show_has_no_minus(value: float, said: str) -> None:
    assert signed_share(value) == said


def test_names_are_text_and_never_markup() -> None:
    hostile = "[bold red]x[/] [link=https://evil.example]y[/link] \x1b[2J\x07\nnext"
    finding = Finding(message=hostile, case=hostile, device=hostile, output=hostile)
    fault = Failure(fault=Fault.FARM, kind="x", message=hostile)
    trial = samples.trial(hostile, case=hostile, outputs={hostile: samples.output("q", problem=hostile)})
    record = samples.run(
        cases=[hostile],
        kernel=hostile,
        reason=hostile,
        commit=hostile,
        trials=[trial],
        gates=samples.failed_gate("tolerance", finding),
        failures=[fault],
        directory=hostile,
    )

    text = shown(record, width=400)

    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.count("[bold red]x[/]") == 11, "every place shows the name as it is"
    assert text.splitlines()[0].startswith("✓ passed  [bold red]x[/] [link=https://evil.example]y[/link]")


def test_many_findings_are_cut_and_counted() -> None:
    findings = [Finding(message=f"finding {number}") for number in range(9)]

    text = shown(samples.run(gates=samples.failed_gate("budget", *findings)))

    assert "finding 4" in text
    assert "finding 5" not in text
    assert "and 4 more findings in the report" in text


def test_a_run_over_budget_says_once_where_and_which_stage_takes_the_time() -> None:
    text = " ".join(shown(planted.slow_stage()).split())

    assert text.count("median 96.50 µs is over the ceiling of 90.00 µs") == 2  # the headline, and all devices at once
    assert "Case flash-s2: the longest part of the critical path is stage q-proj with 80.00 µs" in text


def test_the_wait_for_devices_and_the_run_are_two_times() -> None:
    record = samples.run(
        started_at="2026-11-23T15:00:00.000+00:00",
        finished_at="2026-11-23T15:00:17.400+00:00",
        queue_s=600.0,
        run_limit_s=18000.0,
        resumed_from="20261123-140000-abcdef",
    )
    text = shown(record)

    assert "waited 10 min for devices, ran 17 s of at most 5 h" in text
    assert "goes on with  run 20261123-140000-abcdef" in " ".join(text.split("\n")).replace("   ", "  ")
    assert "waited" not in shown(samples.running())


def test_the_history_is_a_line_of_bars() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(summary(samples.run(), {samples.CASE: [136.0, 131.0, 76.64]}))

    assert "history  █▇▁  3 runs, 76.64 to 136.00 µs" in out.getvalue()


def test_a_first_run_has_no_history_to_show() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(summary(samples.run(), {samples.CASE: [76.64]}))

    assert "history" not in out.getvalue()


def test_a_means_that_the_sandbox_lacks_is_in_the_line_on_isolation() -> None:
    record = samples.from_commit(isolation="bubblewrap, without a cgroup (none is delegated)")

    text = " ".join(shown(record, width=200).split())

    assert "isolation bubblewrap, without a cgroup (none is delegated)" in text


def test_a_program_from_a_commit_has_lines_for_base_rules_and_isolation() -> None:
    text = " ".join(shown(samples.slower_than_base(), width=200).split())

    assert (
        "merge base worse: 76.64 µs against 69.67 µs, ratio 1.1000, interval 1.0900 to 1.1100, 2 % slower allowed"
        in text
    )
    assert "rules changes no rule of the gate, compared with commit bbbbbbbbbbbb" in text
    assert "isolation bubblewrap" in text
    changed = shown(samples.from_commit(rule_changes=samples.CHANGED, isolation="none: no bubblewrap"), width=200)
    assert f"changes the rules: {', '.join(samples.CHANGED)}; judged by the installed rules" in changed
    assert "none on 10.0.0.1/0, 10.0.0.1/1, 10.0.0.1/2: no bubblewrap" in changed


def test_the_installed_program_has_none_of_these_lines() -> None:
    words = {line.split()[0] for line in shown(samples.run()).splitlines() if line}

    assert not {"merge", "rules", "gain", "isolation"} & words


def test_an_implausible_gain_is_named_with_its_numbers() -> None:
    text = " ".join(shown(samples.from_commit(gains=samples.halved()), width=300).split())

    assert "gain flash-s2 takes 76.64 µs instead of 153.28 µs, 50 % less; more than 25 % is implausible" in text


def test_one_wrong_element_is_told_as_one_of_all() -> None:
    one = samples.output("q", passed=False, outlier_share=1 / 4_194_304, allowed_outlier_share=0.0)
    record = samples.run(trials=[samples.trial("10.0.0.1/0", outputs={"q": one})])

    assert "1 of 4,194,304        0" in shown(record, width=100)


@pytest.mark.parametrize(
    "make", [samples.run, samples.tolerance_failure, samples.over_budget, samples.slower_than_base]
)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_case_and_output_has_its_whole_name_on_any_screen(make: Callable[[], RunRecord], width: int) -> None:
    record = make()
    lines = shown(record, width).splitlines()

    assert max(map(len, lines)) <= width
    beginnings = {line.removeprefix("✗ ").split(" ")[0] for line in lines if line}
    assert {*record.cases, *record.trials[0].outputs} <= beginnings
