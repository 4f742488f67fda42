"""The words of templates in other languages than English: a catalogue, and its use while a template is compiled.

Templates are written in English and stay as they are. What a person reads in them (text between tags, some attributes,
the texts of expressions) is looked up in a gettext catalogue, a PO file. What findings and messages say is in no
template and stays English: it is evidence, and people search for it.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files

from jinja2 import Environment
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

ENGLISH = "en"
CHINESE = "zh-CN"
LANGUAGES = (ENGLISH, CHINESE)
VARIABLE = "FARM_LANG"
_CATALOGUES = {CHINESE: "zh_CN.po"}
_ATTRIBUTES = ("aria-label", "title", "placeholder", "data-label", "alt")
_LETTER = re.compile(r"[^\W\d_]")
_NO_WORDS = ("/", "%")  # begins addresses and formats
_NAME = re.compile(r"([\w-]+)=$")
_ELEMENT = re.compile(r"</?([a-z0-9]+)")
_QUALITY = re.compile(r";\s*q=([0-9.]{1,6})")


def language(accepted: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """Return the language of a page: that of `FARM_LANG`, else the best one that a browser accepts, else English.

    Args:
        accepted: The browser's Accept-Language; "" for a file.
        environ: Where `FARM_LANG` is; what it names beside Chinese is English.
    """
    if chosen := environ.get(VARIABLE, ""):
        return _known(chosen) or ENGLISH
    offered = []
    for place, part in enumerate(accepted.split(",")[:20]):
        quality = _QUALITY.search(part)
        known = _known(part.partition(";")[0].strip())
        if known and (quality is None or quality[1].strip("0.")):
            offered.append((-float(quality[1]) if quality and quality[1].count(".") < 2 else -1.0, place, known))
    return min(offered)[2] if offered else ENGLISH


def _known(tag: str) -> str:
    """The language of a tag such as "zh-Hans-CN" or "zh_CN.UTF-8"; "" for one without a catalogue."""
    main = re.split(r"[-_.]", tag.lower())[0]
    return {"en": ENGLISH, "zh": CHINESE}.get(main, "")


@functools.cache
def catalogue(name: str) -> Mapping[str, str]:
    """Return English text → text of a language; {} for English."""
    if name not in _CATALOGUES:
        return {}
    return read((files("farm.report") / "catalogue" / _CATALOGUES[name]).read_text(encoding="utf-8"))


def read(po: str) -> dict[str, str]:
    """Return the messages of a PO file without plurals and contexts. Its head, whose msgid is "", is left out."""
    found: dict[str, str] = {}
    parts: dict[str, str] = {}
    key = ""
    for line in (*po.splitlines(), 'msgid ""'):
        word, _, rest = line.strip().partition(" ")
        if word == "msgid" and "msgstr" in parts:
            found[parts["msgid"]] = parts["msgstr"]
            parts = {}
        if word in ("msgid", "msgstr"):
            key = word
            parts[key] = json.loads(rest)
        elif line.startswith('"'):
            parts[key] += json.loads(line)
    found.pop("", None)
    return found


def localize(environment: Environment, name: str) -> None:
    """Have an environment's templates come out in a language; `language` and the filter `said` are for templates."""
    words = catalogue(name)
    environment.globals["language"] = name
    environment.filters["said"] = lambda word: words.get(str(word), str(word))
    if words:
        environment.extend(words=words)
        environment.add_extension(Translation)


class Translation(Extension):
    """Replaces words before a template is compiled."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Return the template's tokens with the environment's words in place of the English ones."""
        words: Mapping[str, str] = getattr(self.environment, "words")  # noqa: B009 - set by `extend`
        return translated(stream, lambda text: words.get(text, text))


def translated(tokens: Iterable[Token], lookup: Callable[[str], str]) -> Iterator[Token]:
    """Yield a template's tokens with what people read replaced by what `lookup` returns for it."""
    html = _Html()
    line = list(tokens)
    inside: list[str] = []  # types or names of the block's tokens so far
    for number, token in enumerate(line):
        value = token.value
        if token.type == "data":
            value = "".join(_replaced(piece, lookup) if is_words else piece for piece, is_words in html.pieces(value))
        elif token.type in ("variable_begin", "block_begin"):
            inside = []
        elif token.type == "string" and _has_words(value) and _is_shown(inside, line[number + 1], html):
            value = lookup(value)
        inside.append(value if token.type == "name" else token.type)
        yield Token(token.lineno, token.type, value)


def _has_words(text: str) -> bool:
    return _LETTER.search(text) is not None and not text.startswith(_NO_WORDS)


def _is_shown(inside: list[str], following: Token, html: _Html) -> bool:
    """Whether a string of an expression is what people read, and not a name that the program compares or passes on."""
    if inside[:2] == ["block_begin", "call"]:
        return True
    if inside[0] != "variable_begin" or not html.is_read:
        return False
    first, before = len(inside) == 1, inside[-1]
    after_if = following.type == "name" and following.value == "if"
    return first or before in ("else", "tilde") or after_if or following.type == "tilde" or "bar" in inside[1:2]


def _replaced(piece: str, lookup: Callable[[str], str]) -> str:
    text = " ".join(piece.split())
    if not _LETTER.search(text):
        return piece
    start = piece[: len(piece) - len(piece.lstrip())]
    end = piece[len(piece.rstrip()) :]
    return f"{start}{lookup(text)}{end}"


class _Html:
    """Where in a page's HTML a template is, from one piece of text to the next."""

    def __init__(self) -> None:
        self._place = "text"
        self._attribute = ""
        self._is_code = False

    @property
    def is_read(self) -> bool:
        """Whether what stands here is for people."""
        return (self._place == "text" and not self._is_code) or (
            self._place == "value" and self._attribute in _ATTRIBUTES
        )

    def pieces(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield `text` in pieces, and of each whether people read it."""
        while text:
            ends = {"text": "<", "value": '"', "tag": '">'}[self._place]
            found = re.search(f"[{ends}]", text)
            piece = text[: found.start()] if found else text
            yield piece, self.is_read
            if found is None:
                return
            self._step(piece, text[found.start() :])
            yield text[found.start()], False
            text = text[found.end() :]

    def _step(self, before: str, rest: str) -> None:
        """Go over the character that `rest` begins with."""
        if self._place == "text":
            element = _ELEMENT.match(rest)
            if element and element[1] in ("code", "style", "script"):
                self._is_code = not rest.startswith("</")
            self._place = "tag"
        elif self._place == "value":
            self._place = "tag"
        elif rest.startswith('"'):
            name = _NAME.search(before)
            self._place, self._attribute = "value", name[1] if name else ""
        else:
            self._place = "text"
