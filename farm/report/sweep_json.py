"""`sweep.json`: the record of a sweep, dumped, and its published JSON Schema."""

from __future__ import annotations

import json

from farm.sweep.record import SCHEMA_VERSION, SweepRecord

_SCHEMA_ID = "npu-kernel-farm/sweep.schema.json"


def schema() -> str:
    """The JSON Schema of `sweep.json`, as published in `docs/sweep.schema.json`."""
    generated = SweepRecord.model_json_schema(mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": _SCHEMA_ID, "version": SCHEMA_VERSION}
    return json.dumps({**head, **generated}, indent=2, ensure_ascii=False) + "\n"


def write(record: SweepRecord) -> str:
    """The record as JSON, every field in the order of the model."""
    return record.model_dump_json(indent=1) + "\n"
