"""The words of every template are in the catalogue, and come out in the language that is asked for."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from ci.web.pages import NAVIGATION, SIGN
from farm.report.html import words
from farm.report.html.page import environment

ROOT = Path(__file__).parents[3]
TEMPLATES = sorted([*ROOT.glob("ci/web/templates/*.html"), *ROOT.glob("farm/report/templates/*.j2")])
CHINESE = words.catalogue(words.CHINESE)


def looked_up(source: str, name: str = "page.html") -> list[str]:
    """What a template has looked up in a catalogue."""
    made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    tokens = made.lexer.wrap(made.lexer.tokeniter(source, name), name, name)
    asked: list[str] = []

    def keep(text: str) -> str:
        asked.append(text)
        return text

    assert list(words.translated(tokens, keep))
    return asked


def rendered(source: str, catalogue: dict[str, str], **values: object) -> str:
    made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    made.extend(words=catalogue)
    made.add_extension(words.Translation)
    return made.from_string(source).render(**values)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_word_of_a_template_is_outside_the_catalogue(template: Path) -> None:
    asked = looked_up(template.read_text(), template.name)

    assert [text for text in dict.fromkeys(asked) if text not in CHINESE] == []


def test_the_catalogue_has_no_text_that_no_template_has() -> None:
    asked = {text for template in TEMPLATES for text in looked_up(template.read_text(), template.name)}
    said = {*SIGN, *(name for _, name in NAVIGATION)}

    assert said <= set(CHINESE)
    assert sorted(set(CHINESE) - asked - said) == []


def test_a_catalogue_is_a_po_file_of_gettexts() -> None:
    text = (ROOT / "farm/report/catalogue/zh_CN.po").read_text()

    assert text.count("\nmsgid ") == len(CHINESE) + 1
    head = 'msgid ""\nmsgstr ""\n"Language: x\\n"\n'
    long = 'msgid ""\n"a \\"quoted\\" "\n"text"\nmsgstr "t"\n\n# a remark\nmsgid "b"\nmsgstr ""\n"u"\n'
    assert words.read(f"{head}\n{long}") == {'a "quoted" text': "t", "b": "u"}


def test_only_what_people_read_is_replaced() -> None:
    source = (
        '<p class="Run" title="Run">Run <code>Run</code>\n  {{ "Run" if x == "Run" else "Run" }}</p>'
        '<a href="/{{ "Run" if x else "Run" }}" aria-label="Run {{ y }}">{{ z["Run"] }}</a>'
        "<style>Run</style>{# Run #}"
    )

    assert rendered(source, {"Run": "运行"}, x="Run", y=7, z={"Run": 8}) == (
        '<p class="Run" title="运行">运行 <code>Run</code>\n  运行</p>'
        '<a href="/Run" aria-label="运行 7">8</a><style>Run</style>'
    )


def test_a_text_over_several_lines_is_one_entry() -> None:
    assert rendered("<p>one\n  two, <b>x</b></p>", {"one two,": "一"}) == "<p>一 <b>x</b></p>"


@pytest.mark.parametrize(
    ("accepted", "chosen", "expected"),
    [
        ("", "", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh-CN"),
        ("en-US,en;q=0.9,zh;q=0.5", "", "en"),
        ("en;q=0.3, zh-Hans;q=0.4", "", "zh-CN"),
        ("fr, de;q=0.9", "", "en"),
        ("zh;q=0, en;q=0.1", "", "en"),
        ("zh;q=1.2.3", "", "zh-CN"),
        (";;;,q=", "", "en"),
        ("en", "zh_CN.UTF-8", "zh-CN"),
        ("zh", "en", "en"),
        ("zh", "fr", "en"),
    ],
)
def test_the_language_is_that_of_farm_lang_or_the_browser(accepted: str, chosen: str, expected: str) -> None:
    assert words.language(accepted, {"FARM_LANG": chosen}) == expected


def test_a_file_is_in_the_language_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_LANG", "zh")
    chinese = environment()
    monkeypatch.delenv("FARM_LANG")

    assert (chinese.globals["language"], environment().globals["language"]) == ("zh-CN", "en")
    assert chinese.filters["said"]("failed") == "失败" and environment().filters["said"]("failed") == "failed"
