"""`report.json`: the record itself, dumped; its published JSON Schema; and the way back."""

from __future__ import annotations

from farm.model.run import SCHEMA_VERSION, RunRecord
from farm.report.json_schema import json_schema


class JsonReport:
    """Writes the record, every field, in the order of the model."""

    name = "json"
    filename = "report.json"

    def write(self, record: RunRecord) -> str:
        """The record as indented JSON."""
        return record.model_dump_json(indent=2) + "\n"


def schema() -> str:
    """The JSON Schema of `report.json`, as published in `docs/report.schema.json`."""
    return json_schema(RunRecord, "report", SCHEMA_VERSION)
