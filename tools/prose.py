"""Find words that our prose does without, in pages, docstrings, help texts and comments: python -m tools.prose

Readers have English as their second or third language. Each word of the list has a plain one that serves.
`python -m tools.prose --allowed > tests/prose_allowed.json` writes how many each file still has. They
may only get fewer.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("kernel", "jobs", "farm", "ci", "tools", "benchmarks")
HELP = ("help", "short_help", "epilog")  # keywords of click
TEXTS = (  # read by people as well: guides, commented configuration, templates of pages
    "CHANGELOG.md",
    "ci/**/*.md",
    "ci/**/*.toml",
    "ci/**/*.y*ml",
    "ci/web/templates/*.html",
    "farm/report/templates/*.j2",
    "farm/scaffold/*.jinja",
    "kernel/**/*.toml",
)

WORDS = {
    r"whoever": "name the person or the part",
    r"what(ever)? bec(omes?|ame) of": "the result of, the state of",
    r"told|tells": "reported, reports; shown, shows",
    r"said": "reported, stated",
    r"(?<!night-)mend(s|ed|ing)?": "repair, recover, replace",
    r"(?<!there )is no (?!longer|more|less|such)[a-z]+": "is not a",
    r"to be had": "available",
    r"parted": "separated, divided",
    r"anew": "again",
    r"by the clock": "scheduled",
    r"in line": "in the queue",
    r"for good(?! reason)": "permanently",
    r"once more": "again",
    r"comes? of it": "the result",
    r"not at hand": "not available",
    r"hears? (?:of|so)": "receives, is sent",
    r"as by": "as with",
    r"talked into": "convinced of, made to accept",
}
_REFUSED = re.compile("|".join(rf"\b(?:{word})\b" for word in WORDS), re.IGNORECASE)
_CODE = re.compile(r"^```.*?^```|^~~~.*?^~~~|`[^`\n]*`|\{\{.*?\}\}|\{%.*?%\}", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RefusedWord:
    """A word that is refused, and where."""

    file: str  # from the root
    line: int
    word: str


def findings() -> list[RefusedWord]:
    """Return every refused word of the project's prose."""
    return [found for path in files() for found in in_file(path)]


def files() -> list[Path]:
    """Return the pages, texts and modules whose prose is checked."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    texts = {path for pattern in TEXTS for path in ROOT.glob(pattern)}
    pages = [*top, *sorted((ROOT / "docs").rglob("*.md")), *sorted(texts)]
    return [*pages, *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]


def in_file(path: Path) -> list[RefusedWord]:
    """Return the refused words of one page or module."""
    text = path.read_text()
    parts = list(_prose_of(ast.parse(text))) if path.suffix == ".py" else [(1, text)]
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return [RefusedWord(name, first + above, word) for first, part in parts for above, word in refused(part)]


def refused(text: str) -> Iterator[tuple[int, str]]:
    """Yield the refused words of `text` with the number of lines above each. Code in it counts for nothing."""
    blanked = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code.group()), text)
    for match in _REFUSED.finditer(blanked):
        yield blanked.count("\n", 0, match.start()), match.group()


def _prose_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The docstrings and help texts of a module, each with its first line."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node) is not None and isinstance(node.body[0], ast.Expr):
                yield node.body[0].lineno, ast.get_docstring(node, clean=False) or ""
        elif isinstance(node, ast.keyword) and node.arg in HELP and isinstance(node.value, ast.Constant):
            yield node.value.lineno, str(node.value.value)


def counts() -> dict[str, int]:
    """Return how many refused words each file has, those without left out."""
    found: dict[str, int] = {}
    for each in findings():
        found[each.file] = found.get(each.file, 0) + 1
    return found


def main() -> None:
    """Print the findings, or with --allowed their number in each file."""
    if "--allowed" in sys.argv[1:]:
        print(json.dumps(counts(), indent=2, sort_keys=True))
        return
    for each in findings():
        print(f"{each.file}:{each.line}: {each.word}")


if __name__ == "__main__":
    main()
