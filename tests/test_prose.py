"""Pages, docstrings and help texts do without the words that `tools.prose` lists; what is left may only get fewer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import prose

ALLOWED: dict[str, int] = json.loads((Path(__file__).parent / "prose_allowed.json").read_text())


def test_no_file_has_more_of_the_refused_words_than_before() -> None:
    more = {file: count for file, count in prose.counts().items() if count > ALLOWED.get(file, 0)}

    assert {file: [str(found) for found in prose.findings() if found.file == file] for file in more} == {}


def test_no_page_or_module_has_one() -> None:
    assert ALLOWED == {}


@pytest.mark.parametrize(
    "text",
    [
        "Whoever holds it",
        "it is told",
        "to be had",
        "is no kernel",
        "What became of a job",
        "It waits in line",
        "refused for good",
    ],
)
def test_a_refused_word_is_found(text: str) -> None:
    assert len(list(prose.refused(f"One line.\n{text}."))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "there is no kernel",
        "is no longer",
        "for good reason",
        "an inline style",
        "`told`",
        "{{ chart.said }}",
        "night-mended",
        "```\nsaid\n```",
        "unfold it",
    ],
)
def test_other_words_and_code_are_not(text: str) -> None:
    assert list(prose.refused(text)) == []


def test_configuration_and_templates_are_read(tmp_path: Path) -> None:
    example = tmp_path / "farm.toml"
    example.write_text("# the first line\n# whoever\nport = 1\n")

    assert [(found.line, found.word) for found in prose.in_file(example)] == [(2, "whoever")]
    assert {"farm.example.toml", "sign_in.html", "budgets.toml"} <= {path.name for path in prose.files()}


def test_docstrings_and_help_texts_are_read_and_other_texts_are_not(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""It is told."""\noption("--x", help="Whoever.")\nname = "said"\n')

    assert [(found.line, found.word) for found in prose.in_file(module)] == [(1, "told"), (2, "Whoever")]
