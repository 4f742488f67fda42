"""`bisect.json`: the record of a bisect, dumped, and its published JSON Schema."""

from __future__ import annotations

from farm.model.bisect import SCHEMA_VERSION, BisectRecord
from farm.report.json_schema import json_schema


def schema() -> str:
    """The JSON Schema of `bisect.json`, as published in `docs/bisect.schema.json`."""
    return json_schema(BisectRecord, "bisect", SCHEMA_VERSION)


def write(record: BisectRecord) -> str:
    """The record as JSON, every field in the order of the model."""
    return record.model_dump_json(indent=1) + "\n"
