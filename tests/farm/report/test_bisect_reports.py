"""What a bisect leaves: `bisect.json` and its schema, `bisect.md`, and what the terminal shows."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from farm.model.bisect import SCHEMA_VERSION, BisectRecord
from farm.report.bisect import json_dump, markdown
from farm.report.bisect.terminal import summary
from farm.report.bisect.write import write_bisect
from tests.farm import bisect_samples as samples

PUBLISHED = Path(__file__).parents[3] / "docs" / "bisect.schema.json"
RECORDS = [samples.bisect(), samples.interrupted(), samples.narrowed()]


def shown(record: BisectRecord, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(summary(record))
    return console.export_text()


@pytest.mark.parametrize("record", RECORDS)
def test_the_files_read_back_and_obey_the_published_schema(record: BisectRecord, tmp_path: Path) -> None:
    write_bisect(record, tmp_path)

    text = (tmp_path / "bisect.json").read_text(encoding="utf-8")
    assert BisectRecord.model_validate_json(text) == record
    jsonschema.validate(
        json.loads(text), json.loads(PUBLISHED.read_text(encoding="utf-8")), cls=jsonschema.Draft202012Validator
    )
    assert (tmp_path / "bisect.md").read_text(encoding="utf-8") == markdown.page(record)


def test_the_published_schema_is_the_models() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == json_dump.schema(), (
        "the model changed: run `farm bisect --schema > docs/bisect.schema.json` and weigh SCHEMA_VERSION"
    )
    assert json.loads(json_dump.schema())["version"] == SCHEMA_VERSION


def test_the_commit_comes_first_and_the_computed_is_called_so() -> None:
    page, screen = markdown.page(samples.bisect()), shown(samples.bisect())

    assert page.startswith("## 🎯 found: 666666666666 is the first bad commit")
    for text in (page, " ".join(screen.split())):
        assert "2 rounds on 3 devices, 25 s" in text
        assert "one device after the other: 3 rounds, 3 × 12.5 s a commit = 38 s (computed)" in text
        assert "11 commits, 8 of which change the program; 6 tested" in text
        assert "Version 6" in text
    assert "20261125-100100-123456" in page
    assert "farm report 20261125-100100-123456" in screen


def test_tests_stand_in_the_order_of_the_commits() -> None:
    lines = [line for line in markdown.page(samples.bisect()).splitlines() if line.startswith("| `")]

    assert [line[3] for line in lines] == ["0", "2", "4", "5", "6", "8"]


def test_what_is_left_can_be_gone_on_with() -> None:
    record = samples.interrupted()
    command = f"farm bisect --resume {record.bisect_id} --out {Path(record.directory).parent}"

    assert command in markdown.page(samples.interrupted())
    assert command in " ".join(shown(samples.interrupted()).split())
    assert "go on" not in shown(samples.bisect())


def test_of_several_suspects_each_is_named_and_a_merge_is_called_one() -> None:
    merge = samples.commit(5, parents=2)
    candidates = [merge if each.commit == merge.commit else each for each in samples.narrowed().candidates]
    record = samples.narrowed().model_copy(update={"candidates": candidates})

    for text in (markdown.page(record), shown(record, 140)):
        assert "Version 5" in text
        assert "Version 6" in text
        assert "a merge: search what came in by it" in text


def test_what_a_committer_typed_stays_text() -> None:
    hostile = "[red]x[/red] <img src=x> @everyone | **b**\x1b[31m"
    candidates = [samples.commit(number, hostile) for number in range(9)]
    record = samples.bisect(candidates=candidates, notes=[hostile])

    page, screen = markdown.page(record), shown(record, 200)

    assert not re.search(r"(?<!\\)<img", page)
    assert "@everyone" not in page
    assert "**b**" not in page
    assert "\x1b" not in page + screen
    assert "[red]x[/red] <img src=x>" in screen
