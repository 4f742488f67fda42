"""`sweep.json`: the record of a sweep, dumped, and its published JSON Schema."""

from __future__ import annotations

from farm.model.sweep import SCHEMA_VERSION, SweepRecord
from farm.report.json_schema import json_schema


def schema() -> str:
    """The JSON Schema of `sweep.json`, as published in `docs/sweep.schema.json`."""
    return json_schema(SweepRecord, "sweep", SCHEMA_VERSION)


def write(record: SweepRecord) -> str:
    """The record as JSON, every field in the order of the model."""
    return record.model_dump_json(indent=1) + "\n"
