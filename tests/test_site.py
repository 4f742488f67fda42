"""What `make docs` builds a site from: every page has its place, and the API pages name what exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import farm

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NAV = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2].partition("\nvalidation:")[0]
REFERENCE = (DOCS / "api-reference.md").read_text()


def test_the_navigation_names_every_page_once_and_no_other() -> None:
    named = re.findall(r"[\w/-]+\.md", NAV)

    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent.name != "decisions"}
    assert sorted(named) == sorted({*pages, "decisions/index.md"})


def test_the_reference_has_every_name_of_the_api() -> None:
    listed = {name.rpartition(".")[2] for name in re.findall(r"^::: ([\w.]+)$", REFERENCE, re.MULTILINE)}
    members = {name.strip() for group in re.findall(r"members: \[([^]]+)\]", REFERENCE) for name in group.split(",")}
    errors = {name for name in farm.__all__ if name.endswith("Error")}  # `::: farm.errors` has them all
    documented = listed | members | errors | {"__version__"}

    assert set(farm.__all__) - documented == set()


def test_what_the_reference_names_can_be_imported() -> None:
    missing = []
    for name in re.findall(r"^::: ([\w.]+)$", REFERENCE, re.MULTILINE):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            if not hasattr(importlib.import_module(module), attribute):
                missing.append(name)
    assert missing == []
