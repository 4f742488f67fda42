"""A profile as text, from what a repository shows. What it does not show is a comment that says what to write. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from farm.scaffold.suite import pass_lines
from farm.scaffold.suite.look import PYTEST_DEVICES, Looked, Style
from farm.scaffold.suite.script import Script

OPEN = "# not found: "  # begins each line that somebody must look at
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BARE = r"[A-Za-z0-9_-]+"  # a TOML key that needs no quotes
_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_*",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "ASCEND_*",
    "CC",
    "CXX",
)
_SUMMARIES = {
    Style.SCRIPTS: "Python files that check themselves",
    Style.PYTEST: "tests of pytest, one file a target",
    Style.ASCEND_C: "scripts that build and run an operator in Ascend C",
}


def of(name: str, found: Looked) -> str:
    """Return the profile, which `kernel.harness.profile.parse` takes as it is."""
    parts = [
        _head(name, found),
        _set_up(found),
        _files(found),
        _results(found),
        _platforms(found),
        _environment(found),
        _data(found),
    ]
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines) + "\n"


def quoted(text: str) -> str:
    """Return `text` as a TOML string, in which a regular expression can be read."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    if text.isprintable() and "'''" not in text and not text.endswith("'"):
        return f"'''{text}'''"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(texts: Sequence[str]) -> str:
    """Return `texts` as a TOML array."""
    return f"[{', '.join(quoted(each) for each in texts)}]"


def _head(name: str, found: Looked) -> Iterator[str]:
    yield "# Written from the files of the repository, none of which was run. Look at each line that begins with"
    yield f'# "{OPEN.removeprefix("# ").strip()}", and at the rest once. docs/suites.md explains every part.'
    yield ""
    yield f"name = {quoted(name)}"
    yield f"summary = {quoted(f'{name}: {_SUMMARIES[found.style]}')}"
    yield f"command = {listed(_command(found))}"
    yield 'ignore = ["docs/*", "*.md", ".github/*", ".gitignore"]'


def _command(found: Looked) -> list[str]:
    if found.style is Style.ASCEND_C:
        profiled = ["msprof", "--output={workdir}/prof"] if "msprof" in found.mentions else []
        return [*profiled, "bash", "{file}"]
    if found.style is Style.PYTEST:
        device = next((each for each in PYTEST_DEVICES if each in found.options), "")
        words = ["--platform", "{platform}"] if "--platform" in found.options else []
        words += [device, "{device}"] if device else []
        return [
            "python",
            "-m",
            "pytest",
            "{file}",
            *words,
            "--junitxml",
            "{workdir}/junit.xml",
            "-p",
            "no:cacheprovider",
        ]
    platform, device = _usual(found, "platform"), _usual(found, "device")
    words = [*([platform, "{platform}"] if platform else []), *([device, "{device}"] if device else [])]
    return ["python", "{file}", *words]


def _set_up(found: Looked) -> Iterator[str]:
    if found.build and found.style is Style.ASCEND_C:
        yield "[[setup]]"
        yield 'name = "build"'
        yield f"command = {listed(['bash', found.build])}"
        yield f"{OPEN}which arguments {found.build} takes, and what it makes; write them into command and outputs"
        yield 'outputs = ["build"]'
        yield f"{OPEN}scripts of the toolkit; write activate = ['/usr/local/Ascend/ascend-toolkit/set_env.sh']"


def _usual(found: Looked, key: str) -> str:
    """The option by which most of the files take their platform, or their device."""
    counts = Counter(option for each in _targets(found) if (option := getattr(each, key)))
    return counts.most_common(1)[0][0] if counts else ""


def _targets(found: Looked) -> list[Script]:
    """The files that take a device, or all where none does."""
    return [each for each in found.scripts if each.device] or list(found.scripts)


def _files(found: Looked) -> Iterator[str]:
    yield "[files]"
    if found.style is Style.PYTEST:
        yield f"include = {listed(found.test_globs or _globs(found.tests, 'test_*.py'))}"
    elif found.style is Style.SCRIPTS:
        targets = _targets(found)
        yield f"include = {listed(_globs([each.path for each in targets], '*.py'))}"
        yield 'runnable = "__main__"'
    else:
        yield f"include = {listed(_globs(found.runs, 'run.sh') or [found.build])}"
        if not found.runs:
            yield f"{OPEN}a script for each operator; write include = ['path/**/run.sh'] where there are such"


def _globs(paths: Sequence[str], name: str) -> list[str]:
    """Globs that match files of `name` in the directories at the top in which `paths` are."""
    tops = sorted({path.split("/")[0] if "/" in path else "" for path in paths})
    return [f"{_literal(top)}/**/{name}" if top else name for top in tops]


def _literal(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def _results(found: Looked) -> Iterator[str]:
    if found.style is Style.PYTEST:
        yield from ("[results]", 'by = "junit"', 'file = "junit.xml"')
        return
    shown = pass_lines.found_in(found.lines) if found.style is Style.SCRIPTS else None
    if shown is not None:
        yield "[lines]"
        yield f"passed = {quoted(shown.passed)}"
        if shown.unvalidated:
            yield f"unvalidated = {quoted(shown.unvalidated)}"
        yield f"output = {quoted(shown.output)}"
        if shown.passing:
            yield f"passing = {quoted(shown.passing)}"
        yield f"{OPEN}a line with a time; write time = '...' with a group (?P<us>...), or median and rounds = N"
        return
    yield from ("[results]", 'by = "exit"')
    yield f"{OPEN}exit codes with which a file says that its numbers are wrong; write failing = [1] where that is so"
    if found.style is Style.SCRIPTS:
        yield f"{OPEN}lines that name each output with PASS or FAIL; with such, write [lines] with passed and output"
    yield from _times(found)


def _times(found: Looked) -> Iterator[str]:
    if found.style is not Style.ASCEND_C:
        return
    if found.mentions & {"msprof", "op_summary"}:
        yield ""
        yield from (
            "[[times]]",
            'file = "prof/**/op_summary_*.csv"',
            'column = "Task Duration(us)"',
            'aggregate = "sum"',
        )
    else:
        yield f"{OPEN}where its times are; write [[times]] with file and column, for example of op_summary_*.csv"


def _platforms(found: Looked) -> Iterator[str]:
    names = list(dict.fromkeys(name for each in _targets(found) for name in each.platforms if _NAME.fullmatch(name)))
    if found.style is not Style.SCRIPTS or not names:
        names = []
        yield f"{OPEN}the names of its platforms; write one table for each, and simulated = true where it needs no NPU"
    for place, name in enumerate(names or ["npu"]):
        simulated = any(word in name.lower() for word in ("sim", "cpu"))
        if place:
            yield ""
        yield f"[platforms.{name if re.fullmatch(_BARE, name) else quoted(name)}]"
        yield f"simulated = {'true' if simulated else 'false'}"
        yield f"clock = {quoted('host' if simulated else 'measured')}"
        if not simulated:
            yield f"{OPEN}a small file that every fit device passes; write canary = 'path/to/it'"


def _environment(found: Looked) -> Iterator[str]:
    given = {"PYTHONPATH": "{root}", "PYTHONDONTWRITEBYTECODE": "1"} if found.style is not Style.ASCEND_C else {}
    named = any("{device}" in word for word in _command(found))
    if not named:
        given["ASCEND_RT_VISIBLE_DEVICES"] = "{device}"
    given["ASCEND_PROCESS_LOG_PATH"] = "{workdir}/ascend-log"
    yield "[environment]"
    yield f"inherit = {listed(_INHERITED)}"
    yield f"directories = {listed(['ascend-log', *(['prof'] if found.style is Style.ASCEND_C else [])])}"
    yield ""
    yield "[environment.set]"
    if not named and not found.mentions & {"ASCEND_RT_VISIBLE_DEVICES", "set_device"}:
        yield f"{OPEN}how a file takes its device; the leased one is the only one visible, write another way if need be"
    yield from (f"{name} = {quoted(value)}" for name, value in given.items())


def _data(found: Looked) -> Iterator[str]:
    if found.style is Style.ASCEND_C or len(found.compares) != 1:
        yield f"{OPEN}files or a function with its outputs, for determinism; see Compare bits in docs/suites.md"
        return
    (compared,) = found.compares
    yield "[data.digests]"
    yield f"function = {quoted(compared.function)}"
    yield f"argument = {quoted(compared.argument)}"
    yield f"{OPEN}the function that makes the inputs; write inputs = 'module:function', or [data] with seeded = true"
