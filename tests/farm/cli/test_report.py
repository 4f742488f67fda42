"""`farm runs` and `farm report`, as typed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import junitparser
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from farm import paths
from farm.cli import report as report_module
from farm.cli import runs as runs_module
from farm.cli.app import main
from farm.model import serialization
from farm.model.run import Verdict
from farm.report import json_report
from farm.report.formats import FORMATS
from farm.store.run_store import Store
from tests.farm import samples

PASSED = "20261123-140000-ab12cd"
FAILED = "20261123-160000-ab99ff"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FARM_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def filled(home: Path) -> None:
    with Store.open(paths.store_url()) as store:
        for record in (
            samples.run(run_id=PASSED),
            samples.over_budget().model_copy(
                update={"run_id": FAILED, "started_at": "2026-11-23T16:00:00.000+00:00", "kernel": "other"}
            ),
        ):
            store.begin(samples.running(record.run_id))
            store.finish(record)


def farm(*arguments: str, expect: int = 0) -> Result:
    result = CliRunner().invoke(main, [*arguments])
    assert result.exit_code == expect, result.output
    return result


def test_runs_are_listed_newest_first_one_a_line(filled: None) -> None:
    lines = farm("runs").stdout.splitlines()

    assert [line.split("\t") for line in lines] == [
        ["2026-11-23T16:00:00.000+00:00", FAILED, "failed", "other", "flash-s2", "a2a3sim", "95.50", "3"],
        ["2026-11-23T14:00:00.000+00:00", PASSED, "passed", "qkv_proj_rope", "flash-s2", "a2a3sim", "76.64", "3"],
    ]


def test_runs_can_be_narrowed(filled: None) -> None:
    assert farm("runs", "--kernel", "other").stdout.count("\n") == 1
    assert PASSED in farm("runs", "--verdict", "passed").stdout
    assert FAILED not in farm("runs", "--verdict", "passed").stdout
    assert farm("runs", "--limit", "1").stdout.split("\t")[1] == FAILED
    assert farm("runs", "--verdict", "errored").stdout == ""


def test_runs_as_json(filled: None) -> None:
    newest = json.loads(farm("runs", "--json").stdout)[0]

    assert (newest["run_id"], newest["verdict"], newest["median_us"]) == (FAILED, "failed", {"flash-s2": 95.5})
    assert newest["clock"] == "simulated"


@pytest.mark.parametrize("width", [80, 120])
def test_runs_on_a_terminal_are_a_table_that_fits(filled: None, width: int) -> None:
    with Store.open(paths.store_url()) as store:
        table = runs_module.run_table(store.list(), wide=width > 100)
    out = io.StringIO()
    Console(file=out, width=width).print(table)

    heading, first, second = out.getvalue().splitlines()
    assert first.split()[-8:] == [FAILED, "failed", "other", "flash-s2", "a2a3sim", "95.50", "sim", "3"]
    assert second.split()[-8:] == [PASSED, "passed", "qkv_proj_rope", "flash-s2", "a2a3sim", "76.64", "sim", "3"]
    assert heading.startswith("when " if width > 100 else "run ")


def test_no_runs_is_no_error() -> None:
    assert farm("runs").stdout == ""
    assert json.loads(farm("runs", "--json").stdout) == []


@pytest.mark.parametrize("wrong", [("--limit", "0"), ("--verdict", "fine")])
def test_runs_refuses_what_makes_no_sense(wrong: tuple[str, str]) -> None:
    farm("runs", *wrong, expect=2)


@pytest.mark.parametrize("named", [PASSED, "20261123-14", f"{PASSED[:-1]}"])
def test_a_report_is_found_by_id_or_its_beginning(filled: None, named: str) -> None:
    out = farm("report", named).stdout

    assert out.startswith("✓ passed  all gates passed\n")
    assert f"run {PASSED}" in out


def test_latest_is_the_newest_run(filled: None) -> None:
    assert farm("report", "latest").stdout.startswith("✗ failed  over budget")


def test_a_report_of_a_failed_run_is_no_failure_of_the_command(filled: None) -> None:
    farm("report", FAILED, "--format", "json", expect=0)


def test_a_report_file_or_its_directory_needs_no_store(home: Path) -> None:
    directory = home / "elsewhere" / "run"
    directory.mkdir(parents=True)
    (directory / "report.json").write_text(FORMATS["json"].write(samples.odd_device()), encoding="utf-8")  # type: ignore[arg-type]

    for named in (str(directory), str(directory / "report.json"), "elsewhere/run"):
        assert farm("report", named).stdout.startswith("! errored  device 10.0.0.1/2 is suspect")
    assert not (home / "home").exists()


@pytest.mark.parametrize("flags", [("--json",), ("--format", "json"), ("--json", "--format", "json")])
def test_json_is_the_record_itself(filled: None, flags: tuple[str, ...]) -> None:
    out = farm("report", PASSED, *flags).stdout

    assert serialization.parse(out, "stdout") == samples.run(run_id=PASSED)


def test_junit_and_markdown_are_printed_alone(filled: None) -> None:
    suites = junitparser.JUnitXml.fromstring(farm("report", PASSED, "--format", "junit").stdout_bytes)
    assert len(list(suites)) == 5
    assert farm("report", PASSED, "--format", "md").stdout == FORMATS["md"].write(samples.run(run_id=PASSED))


def test_a_format_can_go_to_a_file(filled: None, home: Path) -> None:
    result = farm("report", PASSED, "--format", "md", "--output", "deep/comment.md")

    assert result.stdout == ""
    assert (home / "deep" / "comment.md").read_text(encoding="utf-8").startswith("## ✅ passed")


def test_out_rewrites_every_format(filled: None, home: Path) -> None:
    listed = farm("report", PASSED, "--out", "again").stdout.split()

    assert [Path(line).name for line in listed[:4]] == ["report.json", "junit.xml", "report.md", "report.html"]
    assert len(list((home / "again" / PASSED / "traces").iterdir())) == 9
    assert serialization.read(home / "again" / PASSED / "report.json") == samples.run(run_id=PASSED)


def test_the_schema_needs_no_run() -> None:
    assert farm("report", "--schema").stdout == json_report.schema()


def test_an_interrupted_run_is_shown_as_such(home: Path) -> None:
    with Store.open(paths.store_url()) as store:
        store.begin(samples.running())
        store.save_trials(samples.running().run_id, [samples.trial("10.0.0.1/0")])
        store.interrupt(samples.running().run_id, "interrupted: process 1 on there ended without a verdict")

    assert farm("report", "latest").stdout.startswith("! errored  interrupted: process 1 on there")
    suites = junitparser.JUnitXml.fromstring(farm("report", "latest", "--format", "junit").stdout_bytes)
    assert [case.is_error for suite in suites if suite.name == "run" for case in suite] == [True]
    assert json.loads(farm("report", "latest", "--json").stdout)["verdict"] == Verdict.ERRORED.value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which run?"),
        (("nobody",), "no run 'nobody'"),
        (("2026",), "begins more than one run"),
        (("missing/report.json",), "no report.json at missing/report.json"),
        (("empty",), "no report.json at empty"),
        (("broken.json",), "broken.json is not a report"),
        (("newer.json",), "schema version 2.0"),
        (("latest", "--output", "x"), "--output x needs --format"),
        (("latest", "--json", "--format", "md"), "exclude each other"),
        (("latest", "--format", "md", "--output", "broken.json/x"), "could not be written"),
        (("evil.json", "--out", "there"), "cannot name a directory"),
    ],
)
def test_every_mistake_is_one_line(filled: None, home: Path, arguments: tuple[str, ...], said: str) -> None:
    (home / "empty").mkdir()
    (home / "broken.json").write_text("{")
    (home / "newer.json").write_text('{"schema_version": "2.0"}')
    (home / "evil.json").write_text(samples.run(run_id="../../outside").model_dump_json())

    result = CliRunner().invoke(main, ["report", *arguments])

    assert result.exit_code in (2, 3)
    assert said in result.stderr
    assert result.stderr.startswith("farm: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not (home.parent / "outside").exists()


def test_both_commands_explain_themselves() -> None:
    for name, module in (("runs", runs_module), ("report", report_module)):
        assert module.command.help
        assert module.command.help.splitlines()[0] in farm(name, "--help").stdout
