"""Every report of a harness's run: each file with its verdict, hostile text made harmless, rebuilt from the record."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import junitparser
import pytest
from rich.console import Console

from farm.model.run import FileRecord, FileStatus, HarnessRecord, RunRecord, SetupRecord
from farm.model.serialization import parse
from farm.report.formats import FORMATS
from farm.report.html.page import LIMIT_BYTES
from farm.report.run.terminal import summary
from farm.report.write import write_reports
from jobs.records import Arm, ClaimRecord, TrialRecord

EVIL = "models/<b>|evil|`x`.py"


def record(timing: str = "host") -> RunRecord:
    """Three files: one that passed with a time of its simulator, one wrong, one skipped."""
    trials: list[dict[str, Any]] = [
        {"case": "models/a.py", "simulator_us": 38.5, "claims": {"y": ClaimRecord(passed=True)}},
        {"case": EVIL, "claims": {"y": ClaimRecord(passed=False, detail="\x1b[31m<script>")}, "beside": ["n/1"]},
    ]
    common: dict[str, Any] = {
        "device": "n/0",
        "repeat": 0,
        "attempt": 0,
        "status": "ok",
        "clock": "simulated",
        "host_s": 1.5,
    }
    files = [
        FileRecord(file="models/a.py", status=FileStatus.PASSED, reason="1 output in 1 trial"),
        FileRecord(file=EVIL, status=FileStatus.FAILED, reason="tolerance: output y: \x1b[31m<script>"),
        FileRecord(file="models/c.py", status=FileStatus.SKIPPED, reason="marked"),
    ]
    harness = HarnessRecord(
        profile="pypto-lib",
        profile_sha256="0" * 64,
        root="/repo",
        command=["python", "{file}"],
        timing=timing,
        selected="all 3 files",
        files=files,
    )
    return RunRecord.model_validate(
        {
            "run_id": "20260101-000000-abcdef",
            "verdict": "failed",
            "reason": "1 passed, 1 failed, 1 skipped of 3 files",
            "kernel": "pypto-lib",
            "cases": ["models/a.py", EVIL],
            "platform": "a2a3sim",
            "clock": "simulated",
            "commit": "unknown",
            "started_at": "2026-01-01T00:00:00.000+00:00",
            "finished_at": "2026-01-01T00:01:00.000+00:00",
            "request": {
                "kernel": "pypto-lib",
                "cases": ["models/a.py", EVIL],
                "platform": "a2a3sim",
                "devices": 2,
                "repeats": 1,
                "input_set": "own",
                "seed": 0,
            },
            "toolchain": {},
            "devices": [],
            "builds": [],
            "trials": [TrialRecord.model_validate({**common, **each}) for each in trials],
            "gates": [],
            "median_us": {},
            "budget": {},
            "harness": harness,
        }
    )


def shown(run: RunRecord) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summary(run))
    return console.export_text()


def test_the_table_shows_the_gravest_file_first_and_whose_time_it_is() -> None:
    text = shown(record())

    assert text.index("evil") < text.index("models/a.py") < text.index("models/c.py")
    assert "38.50 host" in text
    assert "n/0, n/1" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_can_be_written(name: str, tmp_path: Path) -> None:
    assert FORMATS[name].write(record())
    assert write_reports(record(), tmp_path)


def test_markup_in_a_files_name_or_reason_stays_text_in_markdown() -> None:
    page = FORMATS["md"].write(record())

    assert isinstance(page, str)
    assert "<script>" not in page
    assert "| `models/a.py` | passed | 38.50 host | `n/0` | 1.5 | 1 output in 1 trial |" in page


def test_junit_has_a_test_case_a_file_with_the_evidence(tmp_path: Path) -> None:
    content = FORMATS["junit"].write(record())
    assert isinstance(content, bytes)
    (tmp_path / "junit.xml").write_bytes(content)

    cases = [case for suite in junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml")) for case in suite]

    assert len(cases) == 3
    failed = next(case for case in cases if case.is_failure)
    assert "n/0 r0: output y: " in failed.result[0].text
    assert sum(case.is_skipped for case in cases) == 1


def test_thousands_of_targets_are_one_table_failed_ones_first_without_the_weight_of_charts() -> None:
    run = record()
    assert run.harness is not None
    names = [f"ops/kernel_{number:04d}.py" for number in range(3000)]
    files = [
        FileRecord(file=name, status=FileStatus.FAILED if name == names[-1] else FileStatus.PASSED, reason="as it is")
        for name in names
    ]
    trials = [run.trials[0].model_copy(update={"case": name}) for name in names]
    harness = run.harness.model_copy(update={"files": files})

    page = FORMATS["html"].write(run.model_copy(update={"cases": names, "trials": trials, "harness": harness}))

    assert isinstance(page, str)
    table = page[page.index('<table id="targets-table">') : page.index("</table>", page.index("targets-table"))]
    assert table.count("<tr>") == 3001
    assert table.index(names[-1]) < table.index(names[0]) < table.index(names[1])
    assert "and 2992 more" in page
    assert len(page.encode()) < LIMIT_BYTES / 2


def test_a_row_of_the_page_says_what_became_of_its_target() -> None:
    page = FORMATS["html"].write(record())

    assert isinstance(page, str)
    assert '<span class="status skipped">skipped</span>' in page and "<option>failed</option>" in page
    assert "38.50 host" in page and "<b>" not in page


def test_the_record_survives_its_own_json() -> None:
    assert parse(record().model_dump_json(), "report.json") == record()


def test_every_report_shows_the_set_up_as_a_build_and_its_failure_as_text() -> None:
    made = SetupRecord(name="build", machine="n", address="a" * 64, seconds=3.21, cached=False, log="set-up/build.log")
    found = made.model_copy(update={"cached": True, "arm": Arm.BASE, "log": ""})
    failed = SetupRecord(name="fetch", machine="n", seconds=0, cached=False, problem="\x1b[31m<script> error")
    skipped = SetupRecord(name="cann", machine="n", seconds=0, cached=False, skipped=True)
    of_suite = record()
    assert of_suite.harness is not None
    harness = of_suite.harness.model_copy(update={"setup": [made, found, failed, skipped]})
    run = of_suite.model_copy(update={"harness": harness})

    texts = {name: FORMATS[name].write(run) for name in ("md", "html", "junit", "json")}
    pages = {name: text if isinstance(text, str) else text.decode() for name, text in texts.items()}
    terminal = " ".join(shown(run).split())

    assert "set-up build: 3.2 s (set-up/build.log)" in terminal
    assert "set-up build of the merge base: cached, took 3.2 s" in terminal
    assert "set-up cann: skipped, what it makes is present" in terminal
    assert "- set-up `build`: 3.2 s, log `set-up/build.log`" in pages["md"]
    assert 'name="set-up.build" value="3.2 s (set-up/build.log)"' in pages["junit"]
    assert '<a href="./set-up/build.log">' in pages["html"]
    assert [step["seconds"] for step in json.loads(pages["json"])["harness"]["setup"]] == [3.21, 3.21, 0, 0]
    assert not any("\x1b" in text for text in (terminal, *pages.values()))
    assert not any("<script> error" in pages[name] for name in ("md", "html"))
