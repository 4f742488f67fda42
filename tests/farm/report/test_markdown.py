"""`report.md`: what a reviewer reads, and that nothing from outside can become markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from farm.model.run import Finding, GateStatus, MedianRecord, RunRecord, RunRequest, Verdict
from farm.report.run.markdown import MarkdownReport, code, prose
from jobs.records import Failure, Fault
from kernel.clock import Clock
from tests.farm import samples

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</details><h1>x",
    "](https://evil.example) [click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example/x www.evil.example",
    "@org/team please merge, fixes #1",
    "`` ` ``` `code`",
    "a|b|c \\| \\\\| |",
    "\n\n# heading\n\n- item\n\n| a |\n|---|\n",
    "**bold** __bold__ ~~gone~~ $math$",
    "&lt;b&gt; &#60;b&#62;",
    "\u202edesrever\u202c \u200b\x1b[31m\x00",
    "trailing backslash \\",
    "<!-- hidden",
    "```\nfence",
    "[x]: https://evil.example",
]


def report(record: RunRecord) -> str:
    return MarkdownReport().write(record)


def tokens(text: str) -> Iterator[Token]:
    for token in PARSER.parse(text):
        yield token
        yield from token.children or []


def shape(text: str) -> list[str]:
    """The kinds of blocks and spans of a document, without its words; a name may stand in code or not."""
    return [token.type for token in tokens(text) if token.type not in ("text", "text_special", "code_inline")]


def with_names(name: str) -> RunRecord:
    """A run in which everything that comes from outside is `name`."""
    failure = Failure(fault=Fault.KERNEL, kind=name, message=name, log=name)
    device = samples.device(0).model_copy(update={"id": name, "node": name, "soc": name, "isolation": f"none: {name}"})
    outputs = {name: samples.output("q", problem=name, passed=False)}
    task = samples.tasks()[0].model_copy(update={"stage": name, "name": name, "core": name})
    trial = samples.trial(name, case=name, outputs=outputs, tasks=[task])
    finding = Finding(message=name, case=name, device=name, output=name)
    request = RunRequest(
        kernel=name, cases=[name], platform=name, devices=1, repeats=1, input_set=name, seed=0, tuning={name: name}
    )
    base = samples.merge_base(answer=name, commit=name)
    base = base.model_copy(update={"comparison": {name: base.comparison[samples.CASE]}})
    return samples.run(
        run_id=name,
        cases=[name],
        kernel=name,
        platform=name,
        commit=name,
        reason=name,
        verdict=Verdict.FAILED,
        devices=[device],
        trials=[trial, samples.lost_trial(name, case=name, failure=failure)],
        gates=samples.failed_gate("tolerance", finding),
        request=request,
        toolchain={name: name},
        failures=[failure],
        source=samples.from_commit(rule_changes=[name]).source,
        base=base,
    )


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the tables after `heading`, without the first one's head."""
    lines = text[text.index(heading) :].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_change_words_and_nothing_else(hostile: str) -> None:
    found = report(with_names(hostile))

    assert shape(found) == shape(report(with_names("plain")))
    opening, closing = [token.content.strip() for token in tokens(found) if token.type == "html_block"]
    summary = r"<details><summary>Slowest stages of the median trial, case ([^<>&\"']|&#\d+;)*</summary>"
    assert re.fullmatch(summary, opening)
    assert closing == "</details>"


@given(st.text(max_size=60))
def test_any_text_stays_on_its_line_and_in_its_cell(text: str) -> None:
    for shown in (code(text), prose(text)):
        assert "\n" not in shown
        assert "|" not in shown
        kinds = shape(f"| a | b |\n| --- | --- |\n| {shown} | x |\n")
        assert kinds.count("td_open") == 2
        assert not {"link_open", "image", "html_inline", "em_open", "strong_open"} & set(kinds)


@given(st.text(max_size=60))
def test_prose_renders_as_the_words_it_was_given(text: str) -> None:
    (inline,) = [token for token in PARSER.parse(f"- {prose('x' + text)}") if token.type == "inline"]
    assert all(child.type in ("text", "text_special") for child in inline.children or [])


def test_nobody_is_mentioned_and_nothing_is_linked() -> None:
    said = prose("@team #12 GH-12 https://evil.example www.evil.example mailto:a@b.c")

    assert not re.search(r"@\w|#\d|GH-|://|www\.|mailto:", said)


def test_a_passed_run_says_so_first_with_its_numbers() -> None:
    text = report(samples.run())

    assert text.startswith("## ✅ passed: all gates passed\n")
    assert "`qkv_proj_rope` on `a2a3sim` at `0123456789abcdef0123456789abcdef01234567`" in text
    assert rows(text, "### Wall time")[0] == [
        "`flash-s2`", "**76.64**", "0.00", "9", "76.50", "-0.2 %", "best landed",
    ]  # fmt: skip
    assert "| `10.0.0.1/2` | 76.64 |" in text
    assert "- `flash-s2`: digests agree across 3 devices × 3 repeats" in text
    assert "`pypto` `0.2.0`" in text


@pytest.mark.parametrize(
    ("make", "head"),
    [
        (samples.tolerance_failure, "## ❌ failed: q is out of tolerance"),
        (samples.compile_failure, "## ❌ failed: the kernel does not compile"),
        (samples.odd_device, "## ⚠️ errored: device 10.0.0.1/2 is suspect"),
        (samples.running, "## ⏳ running: running"),
    ],
)
def test_the_first_line_is_the_verdict_with_its_reason(make: Callable[[], RunRecord], head: str) -> None:
    assert report(make()).splitlines()[0] == head


def test_the_worst_trial_of_an_output_is_the_one_shown() -> None:
    text = report(samples.tolerance_failure())

    assert rows(text, "### Tolerance")[0] == [
        "`flash-s2`", "`q`", "❌", "130,023 of 4,194,304", "20,971", "0.00781", "0.0312",
        "`[3, 1, 60] on 10.0.0.1/1, repeat 0`", "`golden`",
    ]  # fmt: skip
    assert rows(text, "### Tolerance")[1][:5] == ["`flash-s2`", "`kv`", "✅", "419 of 4,194,304", "20,971"]


def test_findings_of_gates_that_did_not_pass_are_listed() -> None:
    text = report(samples.tolerance_failure())

    assert "### tolerance: failed\n\n- `flash-s2`, `10.0.0.1/1`, `q`, repeat 0: 3.1 % of the elements outside" in text
    assert "### budget" not in text


def test_a_flood_of_findings_is_cut_and_counted() -> None:
    findings = [Finding(message=f"finding {number}") for number in range(500)]

    text = report(samples.run(gates=samples.failed_gate("tolerance", *findings)))

    assert "finding 19\n- and 480 more findings" in text
    assert "finding 20" not in text


def test_the_device_that_differs_is_named() -> None:
    text = report(samples.odd_device())

    assert "❌ bits differ over 3 devices × 3 repeats: kv on 10.0.0.1/2 (repeats 0, 1, 2)" in text
    assert "- the gate says: errored" in text


def test_stages_are_totalled_slowest_first() -> None:
    text = report(samples.run())

    assert rows(text, "Slowest stages")[:3] == [
        ["`q-proj`", "2", "30.00", "60.00"],
        ["`rope`", "1", "11.64", "11.64"],
        ["`attn-norm`", "1", "5.00", "5.00"],
    ]


def test_a_fault_is_told_with_whose_it_is() -> None:
    assert "- kernel `compile`: compile error F00001 in matmul: tile too large" in report(samples.compile_failure())


def test_only_simulated_times_carry_the_warning_and_only_noisy_ones_an_interval() -> None:
    median = MedianRecord(
        clock=Clock.MEASURED,
        per_device={"10.0.0.1/0": 545.0},
        overall=545.0,
        mad_us=1.5,
        samples=[543.5, 545.0, 546.5],
        interval_us=[543.5, 546.5],
    )
    measured = report(samples.run(clock=Clock.MEASURED, median_us={samples.CASE: median}, budget={}))
    simulated = report(samples.run())

    assert "cost model" in simulated
    assert "cost model" not in measured
    assert "95 % interval of the median of `flash-s2`: 543.50 to 546.50 µs" in measured


def test_a_budget_of_another_clock_is_never_compared() -> None:
    budget = samples.run().budget[samples.CASE].model_copy(update={"clock": Clock.MEASURED})

    (row,) = rows(report(samples.run(budget={samples.CASE: budget})), "### Wall time")[:1]

    assert row[5] == "–"


def test_a_gate_that_does_not_apply_says_why() -> None:
    why = Finding(message="no entry for this case", case=samples.CASE)
    gates = samples.failed_gate("budget", why, status=GateStatus.NOT_APPLICABLE)

    assert "### budget: not-applicable\n\n- `flash-s2`: no entry for this case" in report(samples.run(gates=gates))


def test_changed_rules_isolation_and_the_merge_base_are_sections_of_their_own() -> None:
    changed = samples.from_commit(
        rule_changes=samples.CHANGED, isolation="none: no bubblewrap", base=samples.merge_base()
    )
    text = report(changed)

    assert rows(text, "### Against the merge base `bbbb")[0] == [
        "`flash-s2`", "76.64", "76.64", "**1.0000**", "0.9900 to 1.0100", "2 %", "9", "better or equal",
    ]  # fmt: skip
    section = text[text.index("### Program, rules and isolation") :]
    assert (
        "⚠️ this commit brings others, compared with commit bbbbbbbbbbbb:\n  - `kernel/qkv_proj_rope/golden.py`"
        in section
    )
    assert "- isolation on `10.0.0.1/0`, `10.0.0.1/1`, `10.0.0.1/2`: ⚠️ none: no bubblewrap" in section


def test_an_implausible_gain_and_a_first_measurement_stand_above_the_tables() -> None:
    (half,) = samples.halved()
    first = half.model_copy(update={"before_us": None})

    assert "**flash-s2 takes 76.64 µs instead of 153.28 µs" in report(samples.from_commit(gains=[half]))
    assert "- gain: ⚠️ flash-s2 takes" in report(samples.from_commit(gains=[half]))
    assert "**first measurement of flash-s2" in report(samples.from_commit(gains=[first]))


def test_a_worse_head_and_a_base_that_was_not_measured_carry_the_gates_answer() -> None:
    assert rows(report(samples.slower_than_base()), "### Against")[0][7] == "❌ worse"
    assert rows(report(samples.base_not_built()), "### Against")[0][7].startswith("⚠️ the merge base could not be built")


def test_the_installed_program_has_none_of_these_sections() -> None:
    assert not {"### Program", "### Against"} & {line[:11] for line in report(samples.run()).splitlines()}
