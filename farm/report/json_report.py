"""`report.json`: the record itself, dumped; its published JSON Schema; and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from farm.model.run import SCHEMA_VERSION, RunRecord
from farm.report.json_schema import json_schema
from jobs.records import TrialRecord

_LISTS = ("trials", "warm_ups")


class JsonReport:
    """Writes the record, every field, in the order of the model."""

    name = "json"
    filename = "report.json"

    def write(self, record: RunRecord) -> str:
        """The record as JSON with a line for each field, and one for each trial, device or gate.

        Indented throughout it would be twice as large, most of it spaces in front of tasks.
        """
        return "".join(self.pieces(record))

    def pieces(self, record: RunRecord) -> Iterator[str]:
        """The same in pieces of one trial at most, for runs whose trials together need not be in memory twice."""
        start = "{\n"
        for name, value in _without_trials(record).items():
            yield f'{start}"{name}": '
            start = ",\n"
            yield from _lines(getattr(record, name) if name in _LISTS else value)
        yield "\n}\n"


def _without_trials(record: RunRecord) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(record.model_copy(update={name: [] for name in _LISTS}).model_dump_json())
    return fields


def _lines(value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not value:
        yield _in_a_line(value)
        return
    start = "[\n "
    for each in value:
        yield start + _in_a_line(json.loads(each.model_dump_json()) if isinstance(each, TrialRecord) else each)
        start = ",\n "
    yield "\n]"


def _in_a_line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def schema() -> str:
    """The JSON Schema of `report.json`, as published in `docs/report.schema.json`."""
    return json_schema(RunRecord, "report", SCHEMA_VERSION)
