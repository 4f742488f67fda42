"""Remarks on a commit's files beside its verdict: rules it changes, lines that a finding leads back to. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ci.forge.protocol import Annotation, AnnotationLevel
from ci.runner.examination import Examination
from farm.model.run import RunRecord, Verdict
from farm.report.run.markdown import code, prose

READ = (".py", ".toml")  # files in which a tuning is set

_SHOWN = 20
_LONGEST_PATH = 300  # characters that are shown
_MOST = 50  # annotations
# `key = 1`, `key: int = 1`, `"key": 1`, and each of them within a call, a dictionary or a table on one line.
_SETS = re.compile(r"""(?<![\w.])(?P<key>[A-Za-z_]\w*)["']?\s*[=:]\s*[^=\s]""")
_REMARK = "#"  # begins a comment in all that is read; a value with one in it loses what follows
_KNOWN = "; known:"  # what follows in a message is what would have been right
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def held_for(found: Examination) -> str:
    """Why a commit waits for an approval, as Markdown."""
    parts = []
    if found.rules:
        parts.append(
            f"This commit changes the rules of the gate:\n\n{_listed(found.rules)}\n\n"
            "The rules in force do not come from it."
        )
    if found.new:
        parts.append(
            f"These targets are new in this commit:\n\n{_listed(found.new)}\n\n"
            "Nothing but the commit says what is right for them: each is judged by its own rules, once it is approved."
        )
    if found.unexercised:
        parts.append(f"This commit changes files that no run exercises:\n\n{_listed(found.unexercised)}")
    if found.implausible:
        parts.append(
            f"This commit is faster than its history makes plausible:\n\n{_told(found.implausible)}\n\n"
            "It passed. A time is the word of the commit's own process, so read how it comes to be so fast."
        )
    return "\n\n".join(parts)


def approved(found: Examination, by: str) -> str:
    """The note on a verdict whose commit changes more than its program, as Markdown; "" where it does not."""
    allowed = f" Approved by {code(by)}." if by else ""
    parts = []
    if found.rules:
        head = f"> **This commit changes the rules of the gate.** It was judged by those in force.{allowed}"
        parts.append(f"{head}\n\n{_listed(found.rules)}")
    if found.new:
        head = f"> **These targets are new in this commit**, and each was judged by its own rules.{allowed}"
        parts.append(f"{head}\n\n{_listed(found.new)}")
    if found.unexercised:
        head = f"> **No run exercises these files of the commit**, so the verdict says nothing about them.{allowed}"
        parts.append(f"{head}\n\n{_listed(found.unexercised)}")
    if found.implausible:
        head = f"> **This commit is faster than its history makes plausible.**{allowed}"
        parts.append(f"{head}\n\n{_told(found.implausible)}")
    return "\n\n".join(parts)


def located(record: RunRecord, files: Mapping[str, str]) -> list[Annotation]:
    """Remarks on the lines of `files` (path → text) that set what a build or trial was refused for.

    A broken guard names the knobs of the tuning that it holds; a line that gives one of them a value is where to look.
    """
    if record.verdict is not Verdict.FAILED:
        return []
    failures = [*(each.failure for each in record.builds), *(each.failure for each in record.trials)]
    messages = dict.fromkeys(each.message for each in failures if each and each.kind in ("tuning", "compile"))
    found = [
        Annotation(
            path=path,
            start_line=number,
            end_line=number,
            level=AnnotationLevel.FAILURE,
            title=f"{key} is refused",
            message=message,
        )
        for message in messages
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        for key in _keys(line)
        if key in _WORD.findall(message.partition(_KNOWN)[0])
    ]
    return found[:_MOST]


def _keys(line: str) -> list[str]:
    """What a line of Python or TOML gives a value, each once."""
    return list(dict.fromkeys(match["key"] for match in _SETS.finditer(line.partition(_REMARK)[0])))


def _told(lines: Sequence[str]) -> str:
    return "\n".join(f"- {prose(line)}" for line in lines[:_SHOWN])


def _listed(files: Sequence[str]) -> str:
    lines = [f"- {code(path[:_LONGEST_PATH])}" for path in files[:_SHOWN]]
    return "\n".join([*lines, *([f"- and {len(files) - _SHOWN} more"] if len(files) > _SHOWN else [])])
