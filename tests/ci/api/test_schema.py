"""The API against its own OpenAPI document: whatever is sent, the answer is one the document has, and never a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ci.store.states import Scope
from tests.ci.api_client import Api

pytestmark = pytest.mark.service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("examples", [6, pytest.param(50, marks=pytest.mark.long)])
def test_whatever_is_sent_is_answered_as_documented(tmp_path: Path, examples: int) -> None:
    """A few requests to every operation; the long form sends more."""
    api = Api(tmp_path)
    api.add_runs("r1")
    api.add_delivery("d1")
    headers = {"Authorization": f"Bearer {api.token(*Scope)}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", api.app, headers=headers)
    tried = []
    for found in cast(Any, schema.get_all_operations()):
        operation = found.ok()
        tried.append(operation.label)
        for mode in (
            GenerationMode.POSITIVE,
            GenerationMode.NEGATIVE,
        ):  # what the document allows, and what it does not

            @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                case.call_and_validate(checks=CHECKS, headers=headers)

            check()
    api.engine.dispose()

    documented = [
        f"{method.upper()} {path}" for path, methods in api.app.openapi()["paths"].items() for method in methods
    ]
    assert documented and sorted(tried) == sorted(documented)


def sent(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every text within a schema, and where it is."""
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            yield where, schema
        for name, inner in schema.items():
            yield from sent(inner, f"{where} {name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from sent(inner, where)


def test_every_text_that_a_client_sends_has_a_form_or_a_length(tmp_path: Path) -> None:
    document = Api(tmp_path).app.openapi()
    texts = list(sent(document["components"]["schemas"]["Submission"], "Submission"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            texts += sent(operation.get("parameters", []), f"{method} {path}")

    assert len(texts) > 30
    bounds = {"pattern", "enum", "const", "maxLength"}
    assert [where for where, schema in texts if not bounds & set(schema)] == []
