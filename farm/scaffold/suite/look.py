"""Looks at a repository: how its files are run, and what they take and print. Everything is read, nothing is run."""

from __future__ import annotations

import ast
import enum
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from farm.errors import UsageError
from farm.scaffold.suite import printed, pytest_settings
from farm.scaffold.suite.printed import PrintedLine
from farm.scaffold.suite.script import Script, script

_MOST_FILES, _MOST_BYTES = 20_000, 256 << 10
_NOT_LOOKED_AT = frozenset({"build", "dist", "node_modules", "third_party", "3rdparty", "venv", "__pycache__"})
_TEXT = (".py", ".sh", ".toml", ".ini", ".cfg", ".cpp", ".asc", ".h", ".txt")


class Style(str, enum.Enum):
    """How the files of a repository are run."""

    SCRIPTS = "scripts"  # one Python file each, with its device as an argument or in the environment
    PYTEST = "pytest"
    ASCEND_C = "ascend-c"  # shell scripts that build and run an operator


@dataclass(frozen=True, slots=True)
class Looked:
    """What a repository shows."""

    style: Style
    scripts: tuple[Script, ...] = ()  # files that can be run by themselves
    tests: tuple[str, ...] = ()  # files of pytest
    test_globs: tuple[str, ...] = ()  # as its configuration of pytest says
    options: frozenset[str] = frozenset()  # that a conftest.py adds
    runs: tuple[str, ...] = ()  # scripts named run.sh
    build: str = ""  # the build script at the top
    lines: tuple[PrintedLine, ...] = ()
    compares: tuple[printed.ComparingFunction, ...] = ()
    mentions: frozenset[str] = frozenset()  # of `_WORDS`, anywhere in the text


# By which a suite's conftest.py takes a device; the first that it adds is the one.
PYTEST_DEVICES = ("--device", "--device-id", "--npu", "--npu-id", "--card")

_WORDS = (
    "ASCEND_RT_VISIBLE_DEVICES",
    "set_device",
    "__aicore__",
    "msprof",
    "op_summary",
    "torch_npu.profiler",
    "PYPTO_BENCH",
)


@dataclass(slots=True)
class _Reading:
    scripts: list[Script] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    options: set[str] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)
    lines: Counter[PrintedLine] = field(default_factory=Counter)
    compares: list[printed.ComparingFunction] = field(default_factory=list)
    mentions: set[str] = field(default_factory=set)

    def take(self, path: str, text: str) -> None:
        """Note what one file shows."""
        name = path.rpartition("/")[2]
        self.mentions.update(word for word in _WORDS if word in text)
        if name == "run.sh":
            self.runs.append(path)
        if not path.endswith(".py"):
            return
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        if name == "conftest.py":
            self.options |= pytest_settings.added_options(tree)
        elif name.startswith("test_") or name.endswith("_test.py"):
            self.tests.append(path)
        elif "__main__" in text:
            self.scripts.append(script(path, tree))
        else:
            self.compares += printed.comparisons(path, tree)
        self.lines.update(printed.lines(tree))


def look(root: Path, style: Style | None = None) -> Looked:
    """Return what the repository at `root` shows. Raises `UsageError` where it has nothing of `style` to run."""
    seen = _Reading()
    for path in _files(root):
        seen.take(path, _text(root / path))
    build = next((name for name in ("build.sh", "scripts/build.sh") if (root / name).is_file()), "")
    chosen = style or _style(seen, build)
    wanted: dict[Style, object] = {
        Style.SCRIPTS: seen.scripts,
        Style.PYTEST: seen.tests,
        Style.ASCEND_C: seen.runs or build,
    }
    if not wanted[chosen]:
        what = {Style.SCRIPTS: "Python file with __main__", Style.PYTEST: "file of pytest", Style.ASCEND_C: "run.sh"}
        raise UsageError(f"{root} has no {what[chosen]}, so nothing to run; name another directory or --style")
    return Looked(
        style=chosen,
        scripts=tuple(seen.scripts),
        tests=tuple(seen.tests),
        test_globs=pytest_settings.globs(root),
        options=frozenset(seen.options),
        runs=tuple(seen.runs),
        build=build,
        lines=tuple(line for line, _ in seen.lines.most_common()),
        compares=tuple(seen.compares),
        mentions=frozenset(seen.mentions),
    )


def _style(seen: _Reading, build: str) -> Style:
    """The way in which most of the repository is run on a device."""
    with_device = [each for each in seen.scripts if each.device]
    if seen.tests and any(option in seen.options for option in PYTEST_DEVICES):
        return Style.PYTEST
    if with_device and len(with_device) >= len(seen.tests):
        return Style.SCRIPTS
    if seen.runs or (build and ("__aicore__" in seen.mentions or not (seen.tests or seen.scripts))):
        return Style.ASCEND_C
    return Style.PYTEST if seen.tests else Style.SCRIPTS


def _files(root: Path) -> Iterator[str]:
    """Paths of text files below `root`, sorted; no link is followed, and no directory of builds is entered."""
    count = 0
    for parent, directories, names in os.walk(root):
        directories[:] = sorted(each for each in directories if not each.startswith(".") and each not in _NOT_LOOKED_AT)
        for name in sorted(names):
            path = Path(parent, name)
            if name.endswith(_TEXT) and path.is_file() and not path.is_symlink():
                count += 1
                if count > _MOST_FILES:
                    return
                yield path.relative_to(root).as_posix()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
