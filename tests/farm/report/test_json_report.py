"""`report.json` and its schema: round trip, published file, and what a reader refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from farm.model import serialization
from farm.model.run import RunRecord
from farm.model.serialization import ReportError
from farm.report import json_report
from farm.report.json_report import JsonReport
from tests.farm import samples

PUBLISHED = Path(__file__).parents[3] / "docs" / "report.schema.json"

RUNS: list[Callable[[], RunRecord]] = [
    samples.run,
    samples.running,
    samples.tolerance_failure,
    samples.compile_failure,
    samples.odd_device,
    samples.over_budget,
]


def dumped(record: RunRecord) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(JsonReport().write(record))
    return content


@pytest.mark.parametrize("make", RUNS)
def test_a_report_reads_back_as_the_record_it_was_written_from(make: Callable[[], RunRecord], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(JsonReport().write(make()), encoding="utf-8")

    assert serialization.read(path) == make()


@pytest.mark.parametrize("make", RUNS)
def test_every_report_obeys_the_published_schema(make: Callable[[], RunRecord]) -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(dumped(make()), schema, cls=jsonschema.Draft202012Validator)


def test_the_published_schema_refuses_what_is_no_report() -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    content = dumped(samples.run())
    del content["trials"][0]["outputs"]["q"]["sha256"]

    with pytest.raises(jsonschema.ValidationError, match="sha256"):
        jsonschema.validate(content, schema, cls=jsonschema.Draft202012Validator)


def test_the_published_schema_is_the_models() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == json_report.schema(), (
        "the model changed: run `farm report --schema > docs/report.schema.json` and weigh SCHEMA_VERSION"
    )


def test_the_agreed_names_are_there() -> None:
    content = dumped(samples.tolerance_failure())

    assert {"schema_version", "run_id", "verdict", "kernel", "cases", "platform", "commit", "toolchain"} <= set(content)
    assert {"node", "index", "soc"} <= set(content["devices"][0])
    trial = content["trials"][0]
    assert {"device", "repeat", "case", "wall_us", "outputs", "tasks", "status", "attempt"} <= set(trial)
    assert {"sha256", "shape", "dtype", "tolerance"} <= set(trial["outputs"]["q"])
    tolerance = trial["outputs"]["q"]["tolerance"]
    assert {"passed", "outlier_share", "max_abs_err", "max_rel_err", "worst_index"} <= set(tolerance)
    assert {"name", "status", "findings"} <= set(content["gates"][0])
    assert {"per_device", "overall", "mad_us", "samples"} <= set(content["median_us"][samples.CASE])
    assert content["verdict"] == "failed"
    assert content["budget"][samples.CASE]["ceiling_us"] == 90.0


def test_writing_twice_gives_the_same_bytes_in_the_models_order() -> None:
    text = JsonReport().write(samples.run())

    assert text == JsonReport().write(samples.run())
    assert list(json.loads(text)) == list(RunRecord.model_fields)


def test_numbers_json_cannot_hold_become_null() -> None:
    wrong = samples.output("q", passed=False, nonfinite=2, max_abs_err=None, worst_actual=math.nan)
    record = samples.run(trials=[samples.trial("10.0.0.1/0", outputs={"q": wrong})])

    text = JsonReport().write(record)

    assert "NaN" not in text
    assert serialization.parse(text, "x").trials[0].outputs["q"].tolerance.worst_actual is None


def test_fields_of_a_newer_minor_version_are_ignored() -> None:
    content = dumped(samples.run())
    content |= {"schema_version": "1.99", "news": 1}
    content["trials"][0]["outputs"]["q"]["tolerance"]["more"] = [1]

    read = serialization.parse(json.dumps(content), "x")

    assert read.trials == samples.run().trials


def newer_major(content: dict[str, Any]) -> str:
    return json.dumps(content | {"schema_version": "2.0"})


def without_version(content: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in content.items() if key != "schema_version"})


def misspelt(content: dict[str, Any]) -> str:
    return json.dumps(content | {"verdcit": "passed"})


def incomplete(content: dict[str, Any]) -> str:
    content["trials"][0].pop("device")
    return json.dumps(content)


def cut_off(content: dict[str, Any]) -> str:
    return json.dumps(content)[:-10]


def a_list(content: dict[str, Any]) -> str:
    return json.dumps([content])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (newer_major, r"schema version 2\.0, this farm reads 1\.x"),
        (without_version, "no schema_version"),
        (misspelt, "verdcit"),
        (incomplete, r"trials\.0\.device: Field required"),
        (cut_off, "no JSON"),
        (a_list, "no schema_version"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    spoil: Callable[[dict[str, Any]], str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_text(spoil(dumped(samples.run())), encoding="utf-8")

    with pytest.raises(ReportError, match=said) as caught:
        serialization.read(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ReportError, match="not UTF-8"):
        serialization.read(tmp_path / "report.json")
    with pytest.raises(ReportError, match="No such file"):
        serialization.read(tmp_path / "other.json")
