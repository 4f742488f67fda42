"""The published JSON Schemas of the records, each made from its model."""

from __future__ import annotations

import json

from pydantic import BaseModel


def json_schema(model: type[BaseModel], name: str, version: str) -> str:
    """The JSON Schema of `model` as a file; `name` and `version` tell readers which record and which schema it is."""
    generated = model.model_json_schema(mode="serialization")
    identity = f"npu-kernel-farm/{name}.schema.json"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identity, "version": version}
    return json.dumps({**head, **generated}, indent=2, ensure_ascii=False) + "\n"
