"""`farm compare`: times, stages and bits of two runs, in every format."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from markdown_it import MarkdownIt
from rich.console import Console

from farm import paths
from farm.analysis.comparison import ClocksDifferError, compare
from farm.cli.compare import command
from farm.errors import UsageError
from farm.model.run import FileRecord, FileStatus, HarnessRecord, MedianRecord, RunRecord
from farm.report import comparison
from farm.report.json_report import JsonReport
from farm.store.run_store import Store
from jobs.records import ClaimRecord
from kernel.clock import Clock
from tests.farm import planted, samples
from tests.farm.report.test_markdown import with_names

BASE_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def noisy(record: RunRecord, samples_us: list[float]) -> RunRecord:
    ordered = sorted(samples_us)
    median = MedianRecord(
        clock=Clock.MEASURED, per_device={}, overall=ordered[len(ordered) // 2], mad_us=1.0, samples=samples_us
    )
    return record.model_copy(update={"clock": Clock.MEASURED, "median_us": {samples.CASE: median}})


def text(left: RunRecord, right: RunRecord) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(comparison.terminal(compare(left, right)))
    return out.getvalue()


def test_the_difference_is_from_the_first_to_the_second() -> None:
    (case,) = compare(planted.passed(), planted.slow_stage()).cases

    assert (case.left.median_us, case.right.median_us, case.delta_us) == (47.0, 96.5, 49.5)
    assert case.change == pytest.approx(49.5 / 47)
    assert case.apart is None, "an exact clock has no interval"
    assert next((stage.stage, stage.delta_us) for stage in case.stages) == ("q-proj", 49.5)


def test_intervals_on_a_noisy_clock_say_whether_the_medians_are_apart() -> None:
    calm = noisy(planted.passed(), [100.0 + step for step in range(9)])
    near = noisy(planted.passed(), [103.0 + step for step in range(9)])
    far = noisy(planted.passed(), [200.0 + step for step in range(9)])

    (close,), (apart,) = compare(calm, near).cases, compare(calm, far).cases
    assert close.left.interval_us == (101.0, 107.0)
    assert (close.apart, apart.apart) == (False, True)


def test_simulated_and_measured_times_are_refused() -> None:
    with pytest.raises(ClocksDifferError, match="different yardsticks, which are not compared"):
        compare(planted.passed(), noisy(planted.passed(), [1.0]))


def test_bits_that_differ_are_named_and_other_inputs_not_compared() -> None:
    said = text(planted.passed(), planted.race())

    assert "flash-s2 kv: 6b760000 in A, 2 different results in B" in said
    assert "flash-s2 q" not in said
    other = planted.passed()
    other = other.model_copy(update={"request": other.request.model_copy(update={"seed": 7})})
    assert "the inputs differ, so bits are not compared" in text(planted.passed(), other)


def test_runs_without_a_common_case_are_refused() -> None:
    with pytest.raises(UsageError, match="no case in common"):
        compare(planted.passed(), samples.run(cases=["other"], trials=[]))


def test_two_variants_of_a_kernel_are_compared_by_their_files() -> None:
    narrow = planted.passed().model_copy(update={"kernel": "kernels/qkv.py:KERNEL"})
    wide = planted.slow_stage().model_copy(update={"kernel": "kernels/qkv_wide.py:KERNEL"})

    assert [(case.case, case.delta_us) for case in compare(narrow, wide).cases] == [(samples.CASE, 49.5)]
    said = " ".join(text(narrow, wide).split())
    assert "kernels/qkv.py:KERNEL on" in said
    assert "kernels/qkv_wide.py:KERNEL on" in said


@pytest.mark.parametrize("other", ["kernels/qkv.py:KERNEL", "another_kernel"])
def test_an_installed_kernel_is_no_variant_of_another(other: str) -> None:
    right = planted.passed().model_copy(update={"kernel": other})

    for one, two in ((planted.passed(), right), (right, planted.passed())):
        with pytest.raises(UsageError, match="no case in common"):
            compare(one, two)


def test_what_else_differs_is_told() -> None:
    slower = samples.run(
        toolchain={"pypto": "0.3.0", "torch": "2.9.0", "python": "3.11.2"},
        builds=[samples.build(tuning={"q_tile_k": 256, "pipeline_stages": 4})],
    )
    said = " ".join(text(samples.run(), slower).split())

    assert "tuning of flash-s2: q_tile_k is 512 in A, 256 in B" in said
    assert "toolchain: pypto is 0.2.0 in A, 0.3.0 in B" in said
    assert "pipeline_stages" not in said


def test_the_terminal_keeps_to_80_columns() -> None:
    assert max(len(line) for line in text(planted.passed(), planted.slow_stage()).splitlines()) <= 80


def test_every_format_has_the_numbers() -> None:
    found = compare(planted.passed(), planted.slow_stage())

    assert "| `flash-s2` | 47.00 | 96.50 | +49.50 | +105.3 % |" in comparison.markdown(found)
    assert "| `q-proj` | 30.50 | 80.00 | +49.50 | +49.50 |" in comparison.markdown(found)
    page = comparison.html(found)
    for number in ("47.00", "96.50", "+49.50", "+105.3 %"):
        assert f'<td class="number">{number}</td>' in page
    facts = json.loads(comparison.as_json(found))
    assert (facts["a"]["run_id"], facts["clock"]) == (planted.passed().run_id, "simulated")
    assert facts["cases"][0]["delta_us"] == 49.5
    assert facts["cases"][0]["stages"][0]["b_critical_us"] == 80.0


HOSTILE = ["</td><script>alert(1)</script>", "](https://evil.example)", "a|b", "**bold**"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_becomes_markup(hostile: str) -> None:
    class Tags(HTMLParser):
        def __init__(self, page: str) -> None:
            super().__init__()
            self.seen: list[str] = []
            self.feed(page)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.append(tag)

    plain, found = (compare(with_names(name), with_names(name)) for name in ("plain", hostile))
    assert Tags(comparison.html(found)).seen == Tags(comparison.html(plain)).seen
    kinds = [token.type for token in MarkdownIt("commonmark").enable("table").parse(comparison.markdown(found))]
    assert kinds == [token.type for token in MarkdownIt("commonmark").enable("table").parse(comparison.markdown(plain))]


# The command


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FARM_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.json").write_text(JsonReport().write(planted.slow_stage()), encoding="utf-8")
    return tmp_path


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def test_a_commit_stands_for_its_newest_run_that_passed(home: Path) -> None:
    with Store.open(paths.store_url()) as store:
        for number, record in enumerate((planted.passed(), planted.passed(), planted.slow_stage())):
            begun = f"2026-11-23T1{number}:00:00.000+00:00"
            named = record.model_copy(update={"run_id": f"run-{number}", "started_at": begun, "commit": BASE_COMMIT})
            store.begin(samples.running(named.run_id, started_at=begun, commit=BASE_COMMIT))
            store.finish(named)

    result = typed(BASE_COMMIT[:9], "b.json", "--json")

    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["a"]["run_id"] == "run-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("abcdef0", "b.json"), "no run 'abcdef0', and no run of such a commit that passed"),
        (("nobody", "b.json"), "no run 'nobody' in the store"),
        (("b.json", "b.json", "--output", "x"), "--output x needs --format"),
        (("b.json", "b.json", "--json", "--format", "md"), "exclude each other"),
    ],
)
def test_every_mistake_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    result = typed(*arguments)

    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_a_format_can_go_to_a_file(home: Path) -> None:
    assert typed("b.json", "b.json", "--format", "html", "--output", "deep/page.html").exit_code == 0
    assert (home / "deep" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def of_suite(seeded: bool, sha256: str, status: FileStatus, us: float) -> RunRecord:
    """A run of one target of a suite."""
    run = samples.run(kernel="ours", clock=Clock.MEASURED, platform="a2a3")
    claims = {"y": ClaimRecord(passed=True, sha256=sha256)}
    trials = [trial.model_copy(update={"outputs": {}, "claims": claims, "tasks": []}) for trial in run.trials]
    harness = HarnessRecord(
        profile="ours",
        profile_sha256="0" * 64,
        root="/repo",
        command=["python", "{file}"],
        timing="measured",
        selected="all 1 files",
        seeded=seeded,
        files=[FileRecord(file=samples.CASE, status=status, reason="as it is")],
    )
    return noisy(run.model_copy(update={"trials": trials, "harness": harness}), [us + step for step in range(9)])


def test_targets_of_a_suite_are_compared_with_their_own_status_and_with_bits_where_a_seed_gives_the_inputs() -> None:
    left = of_suite(True, "a" * 64, FileStatus.PASSED, 100.0)
    right = of_suite(True, "b" * 64, FileStatus.FAILED, 200.0)

    (case,) = compare(left, right).cases
    (unseeded,) = compare(of_suite(False, "a" * 64, FileStatus.PASSED, 100.0), right).cases

    assert (case.left.verdict, case.right.verdict, case.apart) == ("passed", "failed", True)
    assert [(each.output, each.left, each.right) for each in case.digests] == [("y", ("a" * 64,), ("b" * 64,))]
    assert unseeded.inputs_differ and unseeded.digests == ()
