"""Pages in two languages: the same headings and tables, and the same commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "README.zh-CN.md"} | {
    f"docs/{path.name}": f"docs/zh/{path.name}" for path in sorted((ROOT / "docs" / "zh").glob("*.md"))
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s+#.*$", re.MULTILINE)
TRANSLATED = ("mermaid",)  # diagrams, whose labels are words


def levels(text: str) -> list[int]:
    """The level of each heading, and 0 for each row of a table, in their order."""
    prose = FENCE.sub("", text)
    return [len(marks) for marks in re.findall(r"^(#{1,6}) |^\| ", prose, re.MULTILINE)]


def blocks(text: str) -> list[str]:
    """Every block of code without its comments."""
    return [COMMENT.sub("", code) for language, code in FENCE.findall(text) if language not in TRANSLATED]


def commands(text: str) -> list[str]:
    """Every command that stands in a sentence or a table."""
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return sorted(span for span in spans if re.match(r"(farm|make|pip|podman|python|\.) ", span))


@pytest.mark.parametrize("english", PAGES)
def test_both_languages_have_the_same_headings_and_tables(english: str) -> None:
    assert levels((ROOT / PAGES[english]).read_text()) == levels((ROOT / english).read_text())


@pytest.mark.parametrize("english", PAGES)
def test_both_languages_have_the_same_commands(english: str) -> None:
    ours, theirs = (ROOT / english).read_text(), (ROOT / PAGES[english]).read_text()

    assert blocks(theirs) == blocks(ours)
    assert commands(theirs) == commands(ours)


def test_the_tutorial_the_suites_and_the_maintainers_guide_are_among_them() -> None:
    assert {"README.md", "docs/tutorial.md", "docs/suites.md", "docs/maintainer.md"} <= set(PAGES)


@pytest.mark.parametrize(
    "text",
    ["## A\n### B\n", "## A\n| a | b |\n", "## A\n```console\nfarm run --devices 2\n```\n", "## A\n`farm top`\n"],
)
def test_a_page_that_has_more_differs(text: str) -> None:
    told = (levels(text), blocks(text), commands(text))

    assert told != (levels("## A\n"), blocks("## A\n"), commands("## A\n"))
