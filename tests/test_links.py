"""Links of the pages: every relative one leads to a file that is there, and to a heading that is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "ci").rglob("*.md"),
    ]
)
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")  # below tests/, as the pages name those that hold a row


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(f"{plain}-{found.count(plain)}" if plain in found else plain)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(link)

    assert broken == []


def test_every_test_that_a_page_names_exists() -> None:
    named = {found for page in PAGES for found in TEST.findall(page.read_text())}
    files = {file: ROOT / "tests" / file for file, _ in named}
    sources = {file: path.read_text() if path.is_file() else "" for file, path in files.items()}

    assert sorted(f"{file}::{test}" for file, test in named if f"def {test}(" not in sources[file]) == []
    assert ("chaos/test_chaos.py", "test_chaos_costs_time_and_no_verdict") in named


def test_a_link_to_a_heading_that_is_not_there_is_found() -> None:
    assert "from-nothing-to-a-gated-repository" in anchors(ROOT / "docs" / "service.md")
    assert "whatever-is-not-there" not in anchors(ROOT / "docs" / "service.md")
