"""`report.json`: the record itself, dumped; its published JSON Schema; and the way back."""

from __future__ import annotations

import json
from typing import Any

from farm.model.run import SCHEMA_VERSION, RunRecord
from farm.report.json_schema import json_schema


class JsonReport:
    """Writes the record, every field, in the order of the model."""

    name = "json"
    filename = "report.json"

    def write(self, record: RunRecord) -> str:
        """The record as JSON with a line for each field, and one for each trial, device or gate.

        Indented throughout it would be twice as large, most of it spaces in front of tasks.
        """
        fields = json.loads(record.model_dump_json())
        return "{\n" + ",\n".join(f'"{name}": {_lines(value)}' for name, value in fields.items()) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _in_a_line(value)
    return "[\n" + ",\n".join(f" {_in_a_line(each)}" for each in value) + "\n]"


def _in_a_line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def schema() -> str:
    """The JSON Schema of `report.json`, as published in `docs/report.schema.json`."""
    return json_schema(RunRecord, "report", SCHEMA_VERSION)
