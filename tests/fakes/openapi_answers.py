"""Holds requests and answers to a published OpenAPI description, and completes answers with the fields it requires."""

from __future__ import annotations

import json
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.contrib.starlette import StarletteOpenAPIRequest, StarletteOpenAPIResponse
from openapi_core.exceptions import OpenAPIError
from starlette.requests import Request
from starlette.responses import JSONResponse

_PLACEHOLDERS = {"date-time": "2026-01-02T03:04:05Z", "uri": "https://example.org/x", "email": "a@example.org"}


class Description:
    """One OpenAPI 3.0 description."""

    def __init__(self, description: dict[str, Any]) -> None:
        _let_null_be_null(description)
        self._description = description
        # That the description is itself one takes seconds to find, and is its publisher's to see to.
        unchecked = Config(spec_validator_cls=None)  # type: ignore[arg-type]  # which it takes
        self._openapi = OpenAPI.from_dict(description, config=unchecked)

    def request_problems(self, request: Request, body: bytes) -> list[str]:
        """What of a request is not as described; fields that are not described count too."""
        problems = _problems(self._openapi.validate_request, StarletteOpenAPIRequest(request, body or None))
        operation = self._operation(request)
        if operation is None:
            return problems or [f"{request.method} {request.url.path} is not described"]
        described = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if body and described is None:
            return [*problems, "a body where none is described"]
        unknown = self._undescribed(described, json.loads(body), "body") if body and not problems else []
        return problems + unknown

    def answer(self, request: Request, status: int, given: Any, headers: dict[str, str] | None = None) -> JSONResponse:
        """A described answer with what is `given` and whatever else is required. Raises where that cannot be."""
        operation = self._operation(request)
        assert operation is not None
        described = self._resolved(operation["responses"][str(status)])
        content = described.get("content", {}).get("application/json")
        value = self._filled(content["schema"], given) if content else given
        response = JSONResponse(value, status, headers)
        problems = _problems(
            self._openapi.validate_response, StarletteOpenAPIRequest(request, None), StarletteOpenAPIResponse(response)
        )
        assert not problems, problems
        return response

    def _operation(self, request: Request) -> dict[str, Any] | None:
        parts = request.url.path.split("/")
        for path, methods in self._description["paths"].items():
            wanted = path.split("/")
            fits = len(parts) == len(wanted) and all(
                want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True)
            )
            if fits and request.method.lower() in methods:
                found: dict[str, Any] = methods[request.method.lower()]
                return found
        return None

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            value: Any = self._description
            for part in schema["$ref"].removeprefix("#/").split("/"):
                value = value[part]
            schema = value
        return schema

    def _undescribed(self, schema: dict[str, Any], value: Any, where: str) -> list[str]:
        schema = self._resolved(schema)
        if isinstance(value, list):
            items = schema.get("items", {})
            return [found for each in value for found in self._undescribed(items, each, f"{where}[]")]
        if not isinstance(value, dict) or "properties" not in schema:
            return []
        known = schema["properties"]
        found = [f"{where}.{key} is not described" for key in value if key not in known]
        inner = [self._undescribed(known[key], each, f"{where}.{key}") for key, each in value.items() if key in known]
        return found + [each for problems in inner for each in problems]

    def _filled(self, schema: dict[str, Any], given: Any = None) -> Any:
        """`given`, with a placeholder for whatever `schema` requires beside it."""
        schema = self._resolved(schema)
        for several in ("allOf", "anyOf", "oneOf"):
            if several in schema:
                merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
                parts = [self._resolved(part) for part in schema[several]]
                if several != "allOf" or len(parts) == 1:
                    return self._filled(parts[0], given)
                for part in parts:
                    merged["properties"] |= part.get("properties", {})
                    merged["required"] += part.get("required", [])
                return self._filled(merged, given)
        if schema.get("type") == "object" or "properties" in schema:
            if given is None and schema.get("nullable"):
                return None
            known, given = schema.get("properties", {}), given or {}
            names = [*dict.fromkeys([*schema.get("required", []), *given])]
            return {name: self._filled(known.get(name, {}), given.get(name)) for name in names}
        if schema.get("type") == "array":
            return [self._filled(schema["items"], each) for each in given or []]
        return _placeholder(schema) if given is None else given


def _let_null_be_null(value: Any) -> None:
    """GitHub calls some enums nullable and leaves null out of their list, which OpenAPI reads as: never null."""
    if isinstance(value, dict) and value.get("nullable") and "enum" in value and None not in value["enum"]:
        value["enum"].append(None)
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _let_null_be_null(each)


def _placeholder(schema: dict[str, Any]) -> Any:
    if schema.get("nullable"):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "string":
        return _PLACEHOLDERS.get(schema.get("format", ""), "x" * schema.get("minLength", 1))
    return {"integer": 1, "number": 1, "boolean": False}.get(schema.get("type", ""))


def _problems(check: Any, *arguments: Any) -> list[str]:
    try:
        check(*arguments)
    except OpenAPIError as error:
        errors = getattr(error.__cause__, "schema_errors", None) or [error.__cause__ or error]
        return [str(getattr(each, "message", each))[-300:] for each in errors]
    return []
