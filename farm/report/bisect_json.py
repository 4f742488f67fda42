"""`bisect.json`: the record of a bisect, dumped, and its published JSON Schema."""

from __future__ import annotations

import json

from farm.bisect.record import SCHEMA_VERSION, BisectRecord

_SCHEMA_ID = "npu-kernel-farm/bisect.schema.json"


def schema() -> str:
    """The JSON Schema of `bisect.json`, as published in `docs/bisect.schema.json`."""
    generated = BisectRecord.model_json_schema(mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": _SCHEMA_ID, "version": SCHEMA_VERSION}
    return json.dumps({**head, **generated}, indent=2, ensure_ascii=False) + "\n"


def write(record: BisectRecord) -> str:
    """The record as JSON, every field in the order of the model."""
    return record.model_dump_json(indent=1) + "\n"
