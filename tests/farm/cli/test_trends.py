"""`farm trends`, as typed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from farm import paths
from farm.analysis.trends import find_trend
from farm.cli import trends as trends_module
from farm.cli.app import main
from farm.model.run import BudgetRecord, MedianRecord, Verdict
from farm.store.run_store import Store
from kernel.clock import Clock
from tests.farm import samples

CASE = samples.CASE
US = (136.0, 136.0, 131.0, 131.0, 134.5)
MEASURED = tuple(540.0 + wobble for wobble in (0, 3, -2, 4, -3, 1)) * 4 + tuple(594.0 + us for us in (0, -3, 2, 4)) * 2


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FARM_STORE", raising=False)
    monkeypatch.chdir(tmp_path)


def fill(us: Sequence[float], clock: Clock = Clock.SIMULATED, case: str = CASE, **changes: Any) -> None:
    """One run a minute, each of a commit of its own: `0000…`, `0001…` and so on."""
    platform = "a2a3sim" if clock is Clock.SIMULATED else "a2a3"
    with Store.open(paths.store_url()) as store:
        for number, median in enumerate(us):
            record = samples.run(
                run_id=f"{case}-{platform}-{number:02}",
                started_at=f"2026-11-23T14:{number:02}:00.000+00:00",
                commit=f"{number:04}" * 10,
                cases=[case],
                platform=platform,
                clock=clock,
                median_us={
                    case: MedianRecord(clock=clock, per_device={}, overall=median, mad_us=0.5, samples=[median])
                },
                budget={case: BudgetRecord(clock=clock, ceiling_us=545.0, ratchet_us=131.0, source="published")},
                **changes,
            )
            store.begin(samples.running(record.run_id))
            store.finish(record)


def farm(*arguments: str, expect: int = 0) -> Result:
    result = CliRunner().invoke(main, ["trends", *arguments])
    assert result.exit_code == expect, result.output
    return result


def shown(platform: str = "a2a3sim", width: int = 80) -> list[str]:
    with Store.open(paths.store_url()) as store:
        trend = find_trend(store, "qkv_proj_rope", CASE, platform, 200)
    assert trend is not None
    out = io.StringIO()
    Console(file=out, width=width).print(trends_module.view(trend, width), highlight=False)
    return out.getvalue().splitlines()


def test_a_pipe_gets_one_run_a_line_with_the_changes() -> None:
    fill(US)

    lines = [line.split("\t") for line in farm().stdout.splitlines()]

    assert [line[7] for line in lines] == ["136.00", "136.00", "131.00", "131.00", "134.50"]
    assert [line[9] for line in lines] == ["-", "-", "-0.0368", "-", "+0.0267"]
    assert lines[2][:3] == ["2026-11-23T14:02:00.000+00:00", f"{CASE}-a2a3sim-02", "passed"]
    assert lines[2][3:7] == ["qkv_proj_rope", CASE, "a2a3sim", "0002" * 10]
    assert {line[8] for line in lines} == {"simulated"}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_shows_bars_marks_budget_and_changes(width: int) -> None:
    fill(US)

    lines = shown(width=width)

    assert lines[0].strip() == f"qkv_proj_rope {CASE} on a2a3sim"
    assert lines[1].strip() == "5 runs, 2026-11-23 to 2026-11-23, simulated µs"
    bars = next(number for number, line in enumerate(lines) if "█" in line)
    assert [lines[bars].strip(), lines[bars + 1].rstrip()] == ["██▁▁▆", "    ▼ ▲"]
    assert max(len(line) for line in lines) <= width


def test_a_terminal_names_the_commit_and_the_size_of_each_change() -> None:
    fill(US)

    text = "\n".join(shown())

    assert f"▼ 0002000200  {CASE}-a2a3sim-02     136.00    131.00  -3.7 %" in text
    assert f"▲ 0004000400  {CASE}-a2a3sim-04     131.00    134.50  +2.7 %" in text
    assert "131.00 µs best landed, latest leaves -2.7 %" in text
    assert "545.00" not in text, "a device's ceiling, which binds no simulated time"


def test_bars_take_as_many_lines_as_they_need() -> None:
    fill([131.0] * 50)

    assert [line.strip() for line in shown(width=42) if "▄" in line] == ["▄" * 40, "▄" * 10]


def test_a_noisy_history_shows_the_step_and_not_the_noise() -> None:
    fill(MEASURED, Clock.MEASURED)

    (trend,) = json.loads(farm("--platform", "a2a3", "--json").stdout)

    assert [change["commit"][:4] for change in trend["changes"]] == ["0024"]
    assert trend["changes"][0]["change"] == pytest.approx(0.1, abs=0.01)
    assert trend["clock"] == "measured"


def test_json_has_points_changes_and_budget() -> None:
    fill(US)

    (trend,) = json.loads(farm("--json").stdout)

    assert [point["median_us"] for point in trend["points"]] == list(US)
    assert [change["run_id"][-2:] for change in trend["changes"]] == ["02", "04"]
    assert trend["budget"]["ratchet_us"] == 131.0


def test_every_case_is_shown_or_the_one_asked_for() -> None:
    fill(US)
    fill((9.0, 9.0), case="tiny")

    assert [trend["case"] for trend in json.loads(farm("--json").stdout)] == [CASE, "tiny"]
    assert [trend["case"] for trend in json.loads(farm("--json", "--case", "tiny").stdout)] == ["tiny"]


def test_only_the_newest_runs_count_with_a_limit() -> None:
    fill(US)

    assert [line.split("\t")[7] for line in farm("--limit", "2").stdout.splitlines()] == ["131.00", "134.50"]


def test_a_run_that_errored_is_left_out_and_counted() -> None:
    fill(US[:2])
    fill((900.0,), case="other")
    with Store.open(paths.store_url()) as store:
        record = samples.odd_device().model_copy(update={"run_id": "zz", "started_at": "2026-11-23T15:00:00.000+00:00"})
        assert record.verdict is Verdict.ERRORED
        store.begin(samples.running("zz"))
        store.finish(record)

    (trend,) = json.loads(farm("--json", "--case", CASE).stdout)
    assert ([point["median_us"] for point in trend["points"]], trend["errored_runs_left_out"]) == ([136.0, 136.0], 1)
    assert any("1 run that errored" in line for line in shown())


def test_an_empty_history_says_so() -> None:
    result = farm()

    assert (result.stdout, result.stderr) == ("", "no finished runs of qkv_proj_rope on a2a3sim yet\n")
    assert json.loads(farm("--json").stdout) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("qkv",), "unknown kernel 'qkv'; "),
        (("--case", "flash"), "unknown case 'flash'; "),
        (("--platform", "a3"), "unknown platform 'a3'; "),
    ],
)
def test_a_wrong_name_is_one_clear_line(wrong: tuple[str, ...], said: str) -> None:
    error = farm(*wrong, expect=2).stderr

    assert error.startswith(f"farm: {said}") and "known: " in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("limit", ["0", "501", "many"])
def test_a_limit_that_makes_no_sense_is_refused(limit: str) -> None:
    farm("--limit", limit, expect=2)


def refill_first_commit(us: float) -> None:
    """One more run of the commit that was run first, after all others."""
    record = samples.run(
        run_id="again",
        started_at="2026-11-23T15:00:00.000+00:00",
        commit="0000" * 10,
        cases=[CASE],
        median_us={CASE: MedianRecord(clock=Clock.SIMULATED, per_device={}, overall=us, mad_us=0.5, samples=[us])},
    )
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running(record.run_id))
        store.finish(record)


def test_commits_come_in_the_order_first_run_with_all_their_runs() -> None:
    fill(US)
    refill_first_commit(138.0)

    lines = [line.split("\t") for line in farm("--by", "commit").stdout.splitlines()]
    [found] = json.loads(farm("--json").stdout)

    assert [fields[1][:4] for fields in lines] == ["0000", "0001", "0002", "0003", "0004"]
    assert lines[0][5:8] == ["2", "137.00", "simulated"]
    first = found["commits"][0]
    assert (first["commit"][:4], len(first["run_ids"]), first["median_us"]) == ("0000", 2, 137.0)
    assert len(found["points"]) == 6


def test_on_a_terminal_a_bar_is_of_a_commit_and_a_change_stands_below_the_first_that_has_it() -> None:
    fill(US)
    refill_first_commit(136.0)
    with Store.open(paths.store_url()) as store:
        trend = find_trend(store, "qkv_proj_rope", CASE, "a2a3sim", 200)
    assert trend is not None
    out = io.StringIO()
    Console(file=out, width=80).print(trends_module.view(trend, 80, commits=True), highlight=False)
    lines = out.getvalue().splitlines()

    assert "6 runs" in lines[0] + lines[1] and "5 commits" in lines[1]
    assert len(lines[2].strip()) == 5
    assert lines[3][2:].index("▼") == 2
    assert max(len(line) for line in lines) <= 80


def test_the_targets_of_a_suite_have_trends_of_their_own() -> None:
    fill(MEASURED, Clock.MEASURED, "models/a.py", kernel="pypto-lib")
    fill(US, Clock.MEASURED, "models/b.py", kernel="pypto-lib")

    found = json.loads(farm("--suite", "pypto-lib", "--platform", "a2a3", "--json").stdout)
    lines = farm("--suite", "pypto-lib", "--platform", "a2a3", "--case", "models/b.py").stdout.splitlines()

    assert [each["case"] for each in found] == ["models/a.py", "models/b.py"]
    assert len(found[0]["changes"]) == 1 and len(lines) == len(US)


@pytest.mark.parametrize(
    ("words", "expect", "said"),
    [
        (["--suite", "pypto-lib"], 0, "no finished runs of pypto-lib on a2a3sim yet"),
        (["--suite", "pypto-lib", "--platform", "x"], 2, "unknown platform 'x'"),
        (["qkv_proj_rope", "--suite", "pypto-lib"], 2, "give one of the two"),
        (["--suite", "nope"], 2, "unknown harness 'nope'"),
    ],
)
def test_a_suite_without_runs_is_no_unknown_kernel(words: list[str], expect: int, said: str) -> None:
    assert said in farm(*words, expect=expect).stderr


def test_a_change_of_level_names_what_of_the_toolchain_changed_with_it() -> None:
    fill(US[:2], case="a", toolchain={"pypto": "0.1"})
    with Store.open(paths.store_url()) as store:
        for number, us in enumerate(US[2:4]):
            median = MedianRecord(clock=Clock.SIMULATED, per_device={}, overall=us, mad_us=0.5, samples=[us])
            started = f"2026-11-24T14:{number:02}:00.000+00:00"
            changes: dict[str, Any] = {"run_id": f"b{number}", "started_at": started}
            changes["toolchain"] = {"pypto": "0.2", "cc": "9"}
            store.begin(samples.running(f"b{number}"))
            store.finish(samples.run(cases=["a"], median_us={"a": median}, **changes))

    [found] = json.loads(farm("--case", "a", "--json").stdout)

    assert [each["toolchain"] for each in found["changes"]] == [["cc: none, now 9", "pypto: 0.1, now 0.2"]]
