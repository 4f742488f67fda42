"""A sweep's reports: the schema is the model's, the matrix marks what is odd, and no report breaks on bad names."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from io import StringIO
from pathlib import Path

import jsonschema
import junitparser
import pytest
import xmlschema
from rich.console import Console

from farm.model.sweep import SweepRecord
from farm.report.sweep import json_dump, junit, markdown, picture, terminal
from farm.report.sweep.figures import Mark, by_output
from farm.report.sweep.write import write_sweep
from jobs.records import Fault
from tests.farm.sweep_samples import CASE, cell, clean, failed, fleet, one_bad, record, request, votes

ROOT = Path(__file__).parents[3]
JUNIT = xmlschema.XMLSchema(str(ROOT / "tests" / "data" / "junit.xsd"))
HOSTILE = 'x"><!--]]>&amp;<script>\x00\x1b[31m\ufffe\n\t|`@all'


def troubled() -> SweepRecord:
    """One of everything: odd, unsteady, failed, another program, not measured."""
    devices = fleet(12)
    cells = votes(devices[:9], ["aa", "bb", "ab", *["aa"] * 6])
    cells += [failed(devices[9].id, Fault.DEVICE)]
    cells += [cell(devices[10].id, repeat, fingerprint="e" * 64) for repeat in range(2)]
    return record(devices, cells)


def hostile() -> SweepRecord:
    devices = [each.model_copy(update={"id": HOSTILE + each.id, "node": HOSTILE}) for each in fleet(3)]
    asked = request(cases=[HOSTILE], kernel=HOSTILE, platform=HOSTILE)
    cells = [cell(each.id, repeat, case=HOSTILE, sha256={HOSTILE: "a"}) for each in devices for repeat in range(2)]
    bad = failed(devices[0].id, Fault.KERNEL, kind=HOSTILE, case=HOSTILE)
    return record(devices, [*cells[1:], bad], request=asked, outputs={HOSTILE: [HOSTILE]}, commit=HOSTILE)


RECORDS = [clean(), one_bad(), troubled(), hostile(), record(fleet(2), [])]


def test_the_published_schema_is_the_models_own() -> None:
    published = (ROOT / "docs" / "sweep.schema.json").read_text()

    assert published == json_dump.schema(), "run `farm sweep --schema > docs/sweep.schema.json`"


@pytest.mark.parametrize("found", RECORDS, ids=range(len(RECORDS)))
def test_sweep_json_keeps_the_schema_and_comes_back_as_it_was(found: SweepRecord) -> None:
    text = json_dump.write(found)

    jsonschema.validate(json.loads(text), json.loads(json_dump.schema()))
    assert SweepRecord.model_validate_json(text) == found


def test_the_matrix_marks_every_kind_of_trouble() -> None:
    heads, rows = by_output(troubled())

    marks = [squares[0].mark for squares in rows.values()]
    assert heads == [(CASE, "kv")]
    assert marks[:3] == [Mark.AGREES, Mark.ODD, Mark.UNSTEADY]
    assert marks[9:] == [Mark.FAILED, Mark.OTHER_PROGRAM, Mark.MISSING]
    assert [squares[0].digest for squares in rows.values()][:3] == ["a" * 8, "b" * 8, "b" * 8]


def test_the_gravest_seed_is_shown() -> None:
    devices = fleet(3)
    cells = votes(devices, ["aa", "aa", "aa"], seed=0) + votes(devices, ["aa", "bb", "aa"], seed=1)

    _, rows = by_output(record(devices, cells, request=request(seeds=[0, 1])))

    assert [squares[0].mark for squares in rows.values()] == [Mark.AGREES, Mark.ODD, Mark.AGREES]


def test_without_a_majority_nobody_is_the_odd_one() -> None:
    devices = fleet(2)

    _, rows = by_output(record(devices, votes(devices, ["aa", "bb"])))

    assert {squares[0].mark for squares in rows.values()} == {Mark.NO_MAJORITY}


@pytest.mark.parametrize("found", RECORDS, ids=range(len(RECORDS)))
def test_junit_keeps_the_schema_and_is_red_where_the_sweep_is(found: SweepRecord) -> None:
    document = junit.document(found)

    JUNIT.validate(document.decode())
    suites = junitparser.JUnitXml.fromstring(document)
    red = any(
        not isinstance(result, junitparser.Skipped) for suite in suites for case in suite for result in case.result
    )
    assert red is (found.verdict is not None and found.verdict.value != "passed")


def test_junit_has_a_case_for_each_device_and_case_and_blames_the_bad_one() -> None:
    suites = {suite.name: suite for suite in junitparser.JUnitXml.fromstring(junit.document(one_bad()))}

    assert [suite.errors for name, suite in suites.items() if name.startswith("device")] == [0, 1, 0, 0, 0, 0]
    (case,) = suites["device node0/1"]
    assert (case.classname, case.result[0].type) == ("qkv_proj_rope.tiny", "undecided")


def test_a_device_beside_the_plan_that_looked_as_well_is_in_every_report() -> None:
    devices = fleet(5)
    asked = request(cases=[CASE, "other"])
    cells = [
        *votes(devices, ["aa", "bbbb", "aaaa", "aa", "cc"]),
        *(cell(each.id, case="other") for each in devices[:4]),
    ]
    found = record(devices, cells, request=asked, planned=[each.id for each in devices[:4]])

    suites = {suite.name: suite for suite in junitparser.JUnitXml.fromstring(junit.document(found))}
    heads, rows = by_output(found)

    assert [case.name for case in suites[f"device {devices[4].id}"]] == [devices[4].id]
    assert suites[f"device {devices[4].id}"].errors == 1
    assert [square.mark for square in rows[devices[4].id]] == [Mark.ODD, Mark.MISSING]
    assert len(heads) == 2
    assert f"`{devices[4].id}`" in markdown.page(found, "matrix.svg")


@pytest.mark.parametrize("found", RECORDS, ids=range(len(RECORDS)))
def test_the_picture_is_an_svg_and_the_same_each_time(found: SweepRecord) -> None:
    drawn = picture.picture(found)

    ElementTree.fromstring(drawn)
    assert drawn == picture.picture(found)


def test_the_page_names_the_odd_device_with_a_letter_and_its_digest() -> None:
    page = markdown.page(one_bad(), "matrix.svg")

    assert "| `node0/1` | **O** `bbbbbbbb` |" in page
    assert "quarantined: `node0/1`" in page
    assert "![the matrix](matrix.svg)" in page


def test_the_page_lets_no_name_break_out() -> None:
    page = markdown.page(hostile(), "matrix.svg")

    assert "<script>" not in page.replace("`" + page.split("`")[1] + "`", "")
    assert "\x00" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize("found", RECORDS, ids=range(len(RECORDS)))
def test_the_summary_fits_a_terminal(found: SweepRecord) -> None:
    console = Console(file=StringIO(), width=80)
    console.print(terminal.summary(found))
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert all(len(line) <= 80 for line in shown.splitlines())
    assert found.verdict is not None
    assert found.verdict.value in shown


def test_a_large_fleet_shows_the_bad_device_first() -> None:
    devices = fleet(200, per_node=8)
    found = record(devices, votes(devices, [*["aa"] * 150, "bbbb", *["aa"] * 49]))
    console = Console(file=StringIO(), width=80)
    console.print(terminal.summary(found))

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    table = next(number for number, line in enumerate(lines) if line.startswith("device "))
    assert lines[table + 1].startswith(devices[150].id)
    assert len(lines) < 40


def test_every_report_is_written_whole(tmp_path: Path) -> None:
    write_sweep(troubled(), tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"sweep.json", "junit.xml", "sweep.md", "matrix.svg"}
