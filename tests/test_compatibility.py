"""Nothing a user relies on goes within a major version: the Python API and the schemas, against the last release.

`tests/released/` holds what was published last; `make record-release` renews it, once the version says what changed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from farm import __version__
from farm.model.run import SCHEMA_VERSION
from tools import public_api, schema_changes

RELEASED = Path(__file__).parent / "released"
DOCS = Path(__file__).parents[1] / "docs"
SCHEMAS = ["report.schema.json", "sweep.schema.json", "bisect.schema.json"]

Schema = dict[str, Any]


def released_schema(name: str) -> Schema:
    content: Schema = json.loads((RELEASED / name).read_text(encoding="utf-8"))
    return content


def promise(version: str) -> tuple[str, ...]:
    """The part of a version that may stay only while nothing breaks: the major number, and before 1.0 the minor too."""
    major, minor = version.split(".")[:2]
    return (major, minor) if major == "0" else (major,)


def test_the_python_api_keeps_what_was_released() -> None:
    released = (RELEASED / "version").read_text().strip()
    if promise(__version__) != promise(released):
        return  # a new major version may break; recording the release makes it the measure

    broken = public_api.breakages((RELEASED / "api.txt").read_text(encoding="utf-8"), public_api.stub())

    assert not broken, f"breaks those who use farm {released}: " + "; ".join(broken)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_keeps_what_was_released(name: str) -> None:
    now = json.loads((DOCS / name).read_text(encoding="utf-8"))
    released = released_schema(name)
    if promise(now["version"]) != promise(released["version"]):
        return

    broken = schema_changes.breakages(released, now)

    assert not broken, f"breaks readers of version {released['version']}: " + "; ".join(broken)
    grown = now != released and schema_changes.breakages(now, released) != []
    assert not grown or now["version"] != released["version"], "properties were added: raise the minor version"


def test_the_schema_has_the_version_of_the_model() -> None:
    assert json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8"))["version"] == SCHEMA_VERSION


BEFORE = """
class Record:
    name: str
    size: int = ...
    LIMIT = 3
    def grow(self, by: int = 1) -> None: ...
def run(kernel: str = 'a', *, devices: int = 3) -> Record: ...
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def run(", "def start(", "farm.run: Public object was removed"),
        ("devices: int = 3", "devices: int = 4", "farm.run: Parameter default was changed"),
        ("devices: int = 3", "count: int = 3", "farm.run: Parameter was removed"),
        ("kernel: str = 'a'", "kernel: str", "farm.run: Parameter is now required"),
        ("size: int", "size: int | None", "farm.Record.size: Attribute was changed: int → int | None"),
        ("    size: int = ...\n", "", "farm.Record.size: Public object was removed"),
        ("LIMIT = 3", "LIMIT = 4", "farm.Record.LIMIT: Attribute was changed: 3 → 4"),
    ],
)
def test_a_change_that_breaks_a_user_is_named(old: str, new: str, said: str) -> None:
    assert old in BEFORE

    broken = public_api.breakages(BEFORE, BEFORE.replace(old, new))

    assert any(line.startswith(said) for line in broken), broken


def test_an_addition_breaks_nobody() -> None:
    after = BEFORE.replace("devices: int = 3", "devices: int = 3, seed: int = 0") + "def load() -> Record: ...\n"

    assert public_api.breakages(BEFORE, after) == []


def remove(schema: Schema) -> None:
    del schema["properties"]["verdict"]


def demand(schema: Schema) -> None:
    schema["properties"]["more"] = {"type": "string"}
    schema["required"].append("more")


def retype(schema: Schema) -> None:
    schema["$defs"]["TrialRecord"]["properties"]["repeat"]["type"] = "string"


def relax(schema: Schema) -> None:
    schema["$defs"]["Finding"]["required"].remove("message")


def drop_value(schema: Schema) -> None:
    schema["$defs"]["Verdict"]["enum"].remove("errored")


def add_value(schema: Schema) -> None:
    schema["$defs"]["Verdict"]["enum"].append("maybe")


def make_nullable(schema: Schema) -> None:
    schema["properties"]["reason"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove, "report.verdict: gone"),
        (demand, "report.more: new and required"),
        (retype, "report.trials[].repeat: type is string, was integer"),
        (relax, "report.gates[].findings[].message: no longer always there"),
        (drop_value, "report.verdict: value 'errored' is gone"),
        (add_value, "report.verdict: value 'maybe' is new"),
        (make_nullable, "report.reason: 2 kinds of value, were 0"),
    ],
)
def test_a_schema_change_that_breaks_a_reader_is_named(change: Callable[[Schema], None], said: str) -> None:
    released = released_schema("report.schema.json")
    changed = copy.deepcopy(released)
    change(changed)

    broken = schema_changes.breakages(released, changed)

    assert any(line.startswith(said) for line in broken), broken


def test_a_property_that_may_be_left_out_breaks_no_reader() -> None:
    released = released_schema("report.schema.json")
    changed = copy.deepcopy(released)
    changed["$defs"]["TrialRecord"]["properties"]["more"] = {"type": "string", "default": ""}

    assert schema_changes.breakages(released, changed) == []
