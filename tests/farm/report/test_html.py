"""The HTML page as text: what it says, that nothing from outside becomes markup, and that it stays small."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from farm.model.run import RunRecord, Verdict
from farm.report.formats import FORMATS
from farm.report.html.page import page
from farm.report.html.raw_files import raw_files
from jobs.records import ClaimRecord, TaskRecord
from kernel.clock import Clock
from tests.farm import planted, samples
from tests.farm.report.test_markdown import HOSTILE, with_names

LIMIT_BYTES = 1_500_000
_VOID = {"meta", "link", "br", "img", "input"}


class Reader(HTMLParser):
    """What a person without styles or scripts reads, and the page's elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.figures: list[dict[str, Any]] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ("href", "src") and value is not None]
        if tag not in _VOID:
            self._open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        inside, attributes = self._open[-1] if self._open else ("", {})
        if inside == "script" and attributes.get("type") == "application/json":
            self.figures.append(json.loads(data))
        elif inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(record: RunRecord) -> Reader:
    return Reader(page(record))


def section(text: str, title: str) -> str:
    """What the page says from the heading `title` on."""
    return text[text.index(title) :]


def test_the_page_is_one_of_the_formats() -> None:
    assert FORMATS["html"].filename == "report.html"
    assert FORMATS["html"].write(samples.run()) == page(samples.run())


def test_a_passed_run_says_so_first_with_what_it_ran_on() -> None:
    text = read(planted.passed()).text

    assert "✓ passed: all gates passed" in text
    for fact in ("qkv_proj_rope", "flash-s2", "a2a3sim", "0123456789abcdef0123456789abcdef01234567", "10.0.0.1/2"):
        assert fact in text[: text.index("All µs on this page are simulated")]
    assert "Why" not in text
    assert "All 3 devices agree on every bit of every output." in text


def test_wrong_numbers_on_one_device_can_be_told_from_the_text() -> None:
    text = read(planted.wrong_numbers()).text

    assert "! errored: determinism errored: flash-s2, output q, device 10.0.0.1/1: device is suspect" in text
    why = section(text, "determinism: errored")
    assert "output q, device 10.0.0.1/1: device is suspect, twice looked at: 2 of 3 cards agree on other bits" in why
    assert (
        "Output q is also outside its tolerance on 10.0.0.1/1: "
        "130,023 of 4,194,304 elements (3.1%) are outliers, 20,971 allowed. "
        "The other gates leave out 10.0.0.1/1: it is suspect, which is not held against the kernel." in why
    )
    tolerance = section(text, "Tolerance of each output")
    assert "q wrong numbers 130,023 of 4,194,304 20,971" in tolerance
    assert "[3, 1, 60] on 10.0.0.1/1, repeat 0: 99 for 1.5" in tolerance
    assert "kv within" in tolerance
    assert "1 of 3 devices has bits that differ: 10.0.0.1/1." in text
    assert (
        "index actual expected error [3, 1, 58] 0.5 0.5 0 [3, 1, 59] 0.25 0.25 0 [3, 1, 60] 99 1.5 97.5 worst" in text
    )
    assert "[3, 1, 61] NaN or Inf 1 –" in text


def test_a_wrong_program_is_told_once_and_not_blamed_on_a_device() -> None:
    text = read(planted.wrong_program()).text

    assert "✗ failed: tolerance failed: flash-s2, output q" in text
    why = section(text, "tolerance: failed")
    assert why.count("130,023 of 4,194,304 elements (3.1%) are outliers") == 1
    assert (
        "output q, devices 10.0.0.1/0, 10.0.0.1/1, 10.0.0.1/2, repeats 0, 1, 2: "
        "130,023 of 4,194,304 elements (3.1%) are outliers" in why
    )
    assert "Output q is wrong on all 3 devices, with the same wrong bits: it is the program, not a device." in why


def test_the_stage_that_breaks_the_budget_can_be_told_from_the_text() -> None:
    text = read(planted.slow_stage()).text

    assert (
        "✗ failed: budget failed: flash-s2, device 10.0.0.1/0: median 96.50 µs is over the ceiling of 90.00 µs" in text
    )
    why = section(text, "budget: failed")
    assert (
        "Case flash-s2: the longest part of the critical path is stage q-proj with 80.00 µs, 82.9 % of the time." in why
    )
    assert "q-proj 1 80.00 80.00 80.00 82.9 %" in section(text, "Stages of the median trial")
    assert "budget 76.50 -26.1 %, over budget; set by: best landed ceiling 90.00 not the budget" in text
    assert "nothing ran 0.50 0.518 %" in text


def test_against_a_baseline_the_stage_that_grew_is_named() -> None:
    text = Reader(page(planted.slow_stage(), planted.passed(), "run before")).text

    said = "stage q-proj grew most against run before: +49.50 µs over all cores, +49.50 µs on the critical path."
    assert said in section(text, "budget: failed")
    assert "q-proj 1 80.00 80.00 80.00 82.9 % +49.50 +49.50" in text
    assert "run before 47.00 -105.3 %" in text


def test_a_race_can_be_told_from_the_text() -> None:
    text = read(planted.race()).text

    assert "determinism errored: flash-s2, output kv, device 10.0.0.1/1: either the kernel races or this card" in text
    assert "Every result of output kv is within its tolerance; only the bits differ." in text
    assert "1 of 3 devices has bits that differ: 10.0.0.1/1." in text
    row = section(text, "Digests of each output on each device")
    first = row[row.index("10.0.0.1/1") : row.index("10.0.0.1/0")]
    assert first.replace("disagrees", "").count("agrees") == 3
    assert "disagrees with itself" in first
    assert "odd repeat 2" in first
    assert "odd" not in row[row.index("10.0.0.1/0") :]


def test_what_a_harness_claims_is_told_as_its_own_words() -> None:
    wrong = ClaimRecord(passed=False, wrong=7, total=64, max_abs_err=0.5, first="[3] <b>9</b> for 1")
    right = ClaimRecord(passed=True)
    trials = [
        samples.trial("n/0", outputs={}, claims={"out": right}),
        samples.trial("n/1", outputs={}, claims={"out": wrong}),
    ]
    text = read(samples.run(trials=trials)).text

    assert "The harness compared its outputs itself" in text
    assert "out wrong numbers 7 of 64 0.5 [3] <b>9</b> for 1 n/1, repeat 0" in text


def test_simulated_and_measured_times_are_never_put_side_by_side() -> None:
    measured = planted.passed().model_copy(update={"clock": Clock.MEASURED})

    with pytest.raises(TypeError, match="cannot be compared"):
        page(planted.passed(), measured, "other")
    assert "All µs on this page are measured" in read(measured).text


@pytest.mark.parametrize(
    "make",
    [
        samples.compile_failure,
        samples.running,
        samples.odd_device,
        lambda: samples.run(trials=[], cases=[], devices=[]),
    ],
)
def test_a_page_can_be_made_of_whatever_a_run_lacks(make: Callable[[], RunRecord]) -> None:
    record = make()
    text = read(record).text

    assert (record.verdict.value if record.verdict else "running") in text
    assert record.reason in text


def test_a_compile_error_is_told_as_the_kernels_fault() -> None:
    assert (
        "Fault of the kernel, compile: compile error F00001 in matmul: tile too large"
        in read(samples.compile_failure()).text
    )


@pytest.mark.parametrize(
    "hostile", [*HOSTILE, '" onload="alert(1)', "javascript:alert(1)", "'-alert(1)-'", "</script><b>"]
)
def test_hostile_names_change_words_and_nothing_else(hostile: str) -> None:
    plain, found = read(with_names("plain")), read(with_names(hostile))

    assert found.tags == plain.tags
    assert len(found.figures) == len(plain.figures) > 1
    assert all(link.startswith(("./", "#", "data:,")) for link in found.links)


def test_no_name_is_markup_in_a_chart() -> None:
    for figure in read(with_names("<a href='https://evil.example'>x</a>")).figures:
        assert "<a" not in json.dumps(figure)


@pytest.mark.parametrize(
    "log", ["../../etc/passwd", "/etc/passwd", "a/../../b", "javascript:alert(1)", "//evil.example/x"]
)
def test_no_link_leads_out_of_the_runs_directory(log: str) -> None:
    record = samples.run(trials=[samples.trial("n/0", log=log)])

    for file in raw_files(record):
        assert file.href.startswith("./")
        assert ".." not in file.href


def test_links_name_the_files_that_are_written() -> None:
    names = {file.href for file in raw_files(samples.run(trials=[samples.trial("n/0", log="logs/a b/platform.log")]))}

    assert names == {
        "./report.json", "./junit.xml", "./report.md", "./traces/flash-s2-n-0-r0.json.gz", "./logs/a%20b/platform.log",
    }  # fmt: skip


def test_the_policy_names_each_script_and_allows_no_fetch() -> None:
    text = page(samples.run())

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert policy.count("sha256-") == 2
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert "unsafe-eval" not in policy


def big(cases: int, tasks_each: int = 5000) -> RunRecord:
    """More of everything than a page can hold: 70 devices, 16 outputs, so many tasks in a profile of each case."""
    devices = [samples.device(index) for index in range(70)]
    names = [f"case-{number}" for number in range(cases)]
    tasks = [
        TaskRecord(
            name=f"0-{number}-{number}",
            stage=f"stage-{number % 60}",
            core=f"AIC_{number % 72}",
            start_us=number / 7,
            duration_us=1 / 7,
            after=[f"0-{number - 1}-{number - 1}"],
        )
        for number in range(tasks_each)
    ]
    outputs = {f"output-{number}": planted.output("q") for number in range(16)}
    one = samples.trial("", outputs=outputs, tasks=[])
    trials = [
        one.model_copy(update={"device": held.id, "case": name, "log": f"logs/{name}-{held.index}"})
        for name in names
        for held in devices
    ]
    profiled = [one.model_copy(update={"device": devices[0].id, "repeat": 2, "case": c, "tasks": tasks}) for c in names]
    median = samples.medians([one])[samples.CASE].model_copy(
        update={"per_device": {held.id: 76.64 + held.index for held in devices}}
    )
    return samples.run(devices=devices, cases=names, trials=[], reason="x" * 5000).model_copy(
        update={"trials": trials + profiled, "median_us": dict.fromkeys(names, median)}
    )


def test_a_page_says_what_it_leaves_out() -> None:
    words = Reader(page(big(cases=1))).text

    assert "the 64 slowest devices are drawn" in words
    assert "And 6 more devices; those that differ come first." in words
    assert "longest tasks are drawn" in words
    assert "Only the first 200 are listed." in Reader(page(big(cases=3, tasks_each=10))).text


def test_a_page_of_a_huge_run_stays_small() -> None:
    text = page(big(cases=13, tasks_each=1500))

    assert len(text.encode()) < LIMIT_BYTES
    words = Reader(text).text
    assert "more cases, in report.json." in words
    assert "The chart is left out: this page would be too large with it." in words


def test_every_chart_has_its_words_beside_it() -> None:
    text = page(planted.passed())

    labels = re.findall(r'role="img" aria-label="([^"]+)"', text)
    captions = re.findall(r"<figcaption>([^<]+)</figcaption>", text)
    assert labels == captions
    assert len(labels) == 3
    assert "median 47.00" in labels[0]
    assert "q: 0.01 % of the elements are beyond the bound" in labels[1]
    assert "4 tasks on 3 cores over 47.00 simulated µs" in labels[2]


def test_the_verdict_words_cover_every_verdict() -> None:
    for verdict in Verdict:
        assert f"{verdict.value}: " in read(samples.run(verdict=verdict)).text


def test_changed_rules_and_what_was_not_isolated_have_a_section() -> None:
    record = samples.from_commit(rule_changes=samples.CHANGED, isolation="none: bubblewrap is not installed")
    text = section(read(record).text, "Program, rules and isolation")

    assert "the installed ones, and the commit brings others , compared with the installation" in text
    assert all(path in text for path in samples.CHANGED)
    assert "isolation none : bubblewrap is not installed; on 10.0.0.1/0, 10.0.0.1/1, 10.0.0.1/2" in text
    assert "#program" in read(record).links
    gained = section(read(samples.from_commit(gains=samples.halved())).text, "Program, rules and isolation")
    assert "gain flash-s2 takes 76.64 µs instead of 153.28 µs" in gained
    assert "bubblewrap; on 10.0.0.1/0" in section(read(samples.from_commit()).text, "Program, rules")


def test_the_merge_base_has_a_section_with_its_numbers_and_the_gates_answer() -> None:
    text = section(read(samples.slower_than_base()).text, "Against the merge base The")

    assert samples.BASE in text
    assert "flash-s2 worse 69.67 76.64 1.1000 1.0900 to 1.1100 2 % 9" in text
    assert "10.0.0.1/2 1.1000" in section(text, "ratio of medians")


def test_a_base_that_was_not_measured_says_why() -> None:
    text = section(read(samples.base_not_built()).text, "Against the merge base The")

    assert "flash-s2 the merge base could not be built: compile error F00001 in matmul – 76.64 – – – –" in text


def test_the_installed_program_has_neither_section() -> None:
    assert not {"#program", "#merge-base"} & set(read(samples.run()).links)
