"""docs/decisions: one short page each, numbered without a gap, all of them in the index."""

from __future__ import annotations

import re
from pathlib import Path

DECISIONS = Path(__file__).parent.parent / "docs" / "decisions"
PAGES = sorted(path for path in DECISIONS.glob("*.md") if path.name != "index.md")
LONGEST = 40  # lines; a decision is read in a minute


def test_pages_are_numbered_without_a_gap_and_say_their_number() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))
    assert [page.name for page in PAGES if not page.read_text().startswith(f"# {int(page.name[:4])}. ")] == []


def test_the_index_lists_every_page_by_its_title() -> None:
    listed = re.findall(r"^- \[\d{4}\]\(([^)]+)\) (.+)$", (DECISIONS / "index.md").read_text(), re.MULTILINE)

    assert sorted(listed) == [(page.name, page.read_text().splitlines()[0].partition(". ")[2]) for page in PAGES]


def test_every_page_is_short_and_says_why() -> None:
    texts = {page.name: page.read_text() for page in PAGES}

    assert [name for name, text in texts.items() if "\n## Why\n" not in text] == []
    assert [name for name, text in texts.items() if len(text.splitlines()) > LONGEST] == []


def test_files_that_decisions_name_exist() -> None:
    root = DECISIONS.parent.parent
    named = {
        path
        for page in PAGES
        for path in re.findall(r"`((?:kernel|jobs|farm|ci|tools|tests)/[\w./]+)`", page.read_text())
    }

    assert [path for path in sorted(named) if not (root / path).exists()] == []
