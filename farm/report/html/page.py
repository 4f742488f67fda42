"""The HTML page of a run: everything on one page, that opens from disk on a machine without a network.

The scripts are part of the page, and its content security policy names them by digest: nothing else runs and nothing
is fetched, even if a hostile name should ever get through the escaping.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from datetime import datetime
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from farm.analysis import plausible_gain
from farm.analysis.digests import DigestAgreement
from farm.analysis.figures import time_spent
from farm.model.run import GateStatus, RunRecord, Verdict
from farm.report.charts.errors import bin_names, outlier_share
from farm.report.harness import figures
from farm.report.html import words
from farm.report.html.case_view import CaseView, case_views
from farm.report.html.raw_files import MAX_FILES, raw_files
from farm.report.run import merge_base, provenance
from farm.report.run.first_findings import reasons
from farm.text import allowed_outliers, microseconds, one_line, outlier_count, scientific, share, signed_share
from kernel.clock import Clock

PLOTLY = "plotly-basic.min.js"  # as published on npm; see tools/plotly.py
LIMIT_BYTES = 1_500_000
# Cases, rows of each table over devices (those that need attention come first), and tasks drawn: what is tried in turn
# until the page is small enough. The scripts take 1.2 MB of it.
_DETAIL = ((40, 64, 8000), (40, 64, 1500), (40, 8, 1000), (12, 4, 0), (4, 4, 0))
MAX_TARGETS = 4000  # rows of a suite's table, the gravest first: 250 bytes each
MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.ERRORED: "!"}


def page(record: RunRecord, baseline: RunRecord | None = None, called: str = "") -> str:
    """The page of `record`, below 1.5 MB, with each stage's difference to `baseline`, which is called `called` in it.

    Raises `TypeError` for a baseline of the other clock.
    """
    content = ""
    for most, rows, tasks in _DETAIL:
        content = _render(record, case_views(record, baseline, called, most, tasks), rows)
        if len(content.encode()) < LIMIT_BYTES:
            break
    return content


def _render(record: RunRecord, cases: list[CaseView], rows: int) -> str:
    scripts = _scripts(charts=any(case.wall or case.errors or case.timeline for case in cases))
    content: str = (
        environment()
        .get_template("report.html.j2")
        .render(
            **parts(record, cases, rows),
            files=raw_files(record),
            set_up=figures.set_up(record.harness) if record.harness else [],
            max_files=MAX_FILES,
            mark=MARKS[record.verdict] if record.verdict else "…",
            word=record.verdict.value if record.verdict else "running",
            simulated=record.clock is Clock.SIMULATED,
            spent=time_spent(record),
            local=provenance.LOCAL,
            style=Markup(text_of("report.css")),
            scripts=scripts,
            policy=policy(scripts),
        )
    )
    return content


def parts(record: RunRecord, cases: list[CaseView], rows: int, targets: int = MAX_TARGETS) -> dict[str, Any]:
    """What the templates of a page's parts (why, targets, program, case) show, for pages that show them elsewhere.

    `rows` is how many rows a table over devices has at most, `targets` the same of a suite's targets.
    """
    every = figures.of(record, record.harness) if record.harness else []
    return {
        "targets": every[:targets],
        "targets_left": max(0, len(every) - targets),
        "statuses": list(dict.fromkeys(row.file.status.value for row in every)),
        "record": record,
        "cases": cases,
        "reasons": reasons(record, cases),
        "isolation": provenance.isolation(record),
        "compared_with": provenance.against(record.source) if record.source else "",
        "gain": provenance.gain(record),
        "implausible": bool(plausible_gain.implausible(record)),
        "base_cases": merge_base.base_cases(record),
        "max_rows": rows,
    }


@functools.cache
def _scripts(*, charts: bool) -> tuple[Markup, ...]:
    own = Markup(text_of("report.js"))
    return (Markup(text_of(PLOTLY)), own) if charts else (own,)  # the program's own, no data


@functools.cache
def policy(scripts: tuple[Markup, ...]) -> str:
    """A content security policy that lets these scripts run and nothing else, and lets nothing be fetched."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    # The charts set styles inline.
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def environment() -> jinja2.Environment:
    """Templates of this package in the language that `FARM_LANG` names."""
    return _environment(words.language())


@functools.cache
def _environment(language: str) -> jinja2.Environment:
    """Everything is escaped, an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("farm.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    furnish(made)
    words.localize(made, language)
    return made


def furnish(made: jinja2.Environment) -> None:
    """Give an environment what these templates use."""
    made.filters.update(
        line=one_line,
        us=microseconds,
        share=share,
        signed=signed_share,
        sci=scientific,
        outlier_count=outlier_count,
        allowed_outliers=allowed_outliers,
        moment=_moment,
        json_of=lambda chart: Markup(chart.json()),
    )
    made.globals.update(
        Agreement=DigestAgreement, GateStatus=GateStatus, bin_names=bin_names, outlier_share=outlier_share
    )
    made.globals.update(span=merge_base.span)


def text_of(name: str) -> str:
    """A file of the package's templates."""
    return (files("farm.report") / "templates" / name).read_text(encoding="utf-8")


def _moment(text: str | None) -> str:
    """An ISO 8601 time as a person reads it, in UTC; what is none stays as it is."""
    try:
        return datetime.fromisoformat(text or "").strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return one_line(text or "–")
