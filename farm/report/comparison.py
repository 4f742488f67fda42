"""A comparison of two runs for the terminal, and as Markdown, HTML and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.analysis.comparison import CaseComparison, RunComparison, Side
from farm.model.run import RunRecord
from farm.report.console import NamedRows
from farm.report.run.markdown import code, prose
from farm.text import microseconds, one_line, signed_share

SIMULATED = "Simulated µs come from a cost model. They rank programs; they are not a device's µs."
_SHOWN_STAGES = 12


def terminal(found: RunComparison) -> RenderableType:
    """What changed, in 80 columns. Every name is taken as text, never as markup."""
    parts: list[RenderableType] = [_run_line("A", found.left), _run_line("B", found.right), Text()]
    parts.append(_table(["case", f"A {found.clock.value} µs", "B", "B − A", "change", ""], times(found), "case"))
    for case in found.cases:
        if case.stages:
            heads = ["stage", "A total µs", "B total µs", "B − A", "on critical path"]
            parts += [Text(), Text(f"stages of {one_line(case.case)}", "bold"), _table(heads, stages(case), "stage")]
        parts += [Text(), *(Text(f"  {line}") for line in bits(case))]
    parts += [Text(line) for line in remarks(found)]
    return Group(*parts)


def markdown(found: RunComparison) -> str:
    """The same as GitHub-flavoured Markdown."""
    lines = [f"## {code(found.left.run_id)} → {code(found.right.run_id)}", ""]
    lines += [f"- {name}: {_described(run)}" for name, run in (("A", found.left), ("B", found.right))]
    lines += ["", *_md(["case", f"A {found.clock.value} µs", "B", "B − A", "change", "intervals"], times(found))]
    for case in found.cases:
        if case.stages:
            heads = ["stage", "A total µs", "B total µs", "B − A", "on the critical path"]
            lines += ["", f"### Stages of {code(case.case)}", "", *_md(heads, stages(case))]
        lines += ["", *(f"- {prose(line)}" for line in bits(case))]
    lines += ["", *(f"- {prose(line)}" for line in remarks(found))]
    return "\n".join(lines).rstrip() + "\n"


def html(found: RunComparison) -> str:
    """The same as a page that needs no network."""
    from farm.report.html.page import environment, text_of  # jinja2, which no other format needs

    content: str = (
        environment()
        .get_template("compare.html.j2")
        .render(
            found=found,
            times=times(found),
            stages=[(case.case, stages(case)) for case in found.cases if case.stages],
            bits=[line for case in found.cases for line in bits(case)],
            remarks=remarks(found),
            sides=(("A", found.left), ("B", found.right)),
            style=text_of("report.css"),
        )
    )
    return content


def as_json(found: RunComparison) -> str:
    """The same as JSON, every number in full."""
    return json.dumps(_facts(found), indent=2) + "\n"


FORMATS: dict[str, Callable[[RunComparison], str]] = {"md": markdown, "html": html, "json": as_json}


def bits(case: CaseComparison) -> list[str]:
    """Whose outputs differ, in sentences."""
    name = one_line(case.case)
    if case.inputs_differ:
        return [f"{name}: the inputs differ, so bits are not compared"]
    different = [pair for pair in case.digests if not pair.same]
    if not different:
        return [f"{name}: every output has the same bits in both"] if case.digests else [f"{name}: no bits to compare"]
    return [
        f"{name} {one_line(pair.output)}: {_digests(pair.left)} in A, {_digests(pair.right)} in B" for pair in different
    ]


def remarks(found: RunComparison) -> list[str]:
    """What else differs, and what the numbers are."""
    lines = [f"{one_line(case)} is in A alone" for case in found.only_left]
    lines += [f"{one_line(case)} is in B alone" for case in found.only_right]
    lines += [
        f"tuning of {one_line(case)}: {one_line(knob)} is {one_line(left)} in A, {one_line(right)} in B"
        for case, knob, left, right in found.tuning
    ]
    lines += [
        f"toolchain: {one_line(name)} is {one_line(left)} in A, {one_line(right)} in B"
        for name, left, right in found.toolchain
    ]
    return [*lines, *([SIMULATED] if found.clock.value == "simulated" else [])]


def times(found: RunComparison) -> list[list[str]]:
    """A row a case: its name, both medians, the difference, the change, and whether the intervals are apart."""
    return [
        [
            one_line(case.case),
            _median(case.left),
            _median(case.right),
            "–" if case.delta_us is None else f"{case.delta_us:+.2f}",
            "–" if case.change is None else signed_share(case.change),
            {None: "", True: "apart", False: "overlap"}[case.apart],
        ]
        for case in found.cases
    ]


def stages(case: CaseComparison) -> list[list[str]]:
    """A row a stage, the one that changed most first: name, both totals, the difference, that on the critical path."""
    ordered = sorted(case.stages, key=lambda stage: -abs(stage.delta_us or 0.0))
    return [
        [
            one_line(stage.stage) or "unnamed",
            microseconds(stage.base_total_us),
            microseconds(stage.total_us),
            "–" if stage.delta_us is None else f"{stage.delta_us:+.2f}",
            "–" if stage.critical_delta_us is None else f"{stage.critical_delta_us:+.2f}",
        ]
        for stage in ordered[:_SHOWN_STAGES]
    ]


def _median(side: Side) -> str:
    if side.interval_us is None:
        return microseconds(side.median_us)
    return f"{microseconds(side.median_us)} [{microseconds(side.interval_us[0])}, {microseconds(side.interval_us[1])}]"


def _digests(digests: tuple[str, ...]) -> str:
    if not digests:
        return "not measured"
    return f"{len(digests)} different results" if len(digests) > 1 else one_line(digests[0])[:8]


def _described(run: RunRecord) -> str:
    verdict = run.verdict.value if run.verdict else "running"
    return f"{verdict}, {code(run.kernel)} on {code(run.platform)} at {code(run.commit)}"


def _run_line(name: str, run: RunRecord) -> Text:
    verdict = run.verdict.value if run.verdict else "running"
    commit = one_line(run.commit)[:12]
    return Text(
        f"{name}  {one_line(run.run_id)}  {verdict}  {one_line(run.kernel)} on {one_line(run.platform)} at {commit}"
    )


def _table(heads: list[str], rows: list[list[str]], left: str) -> Table:
    table = NamedRows()
    for head in heads:
        table.add_column(head, justify="left" if head in (left, "") else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _md(heads: list[str], rows: list[list[str]]) -> list[str]:
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    cells = [[code(row[0]), *row[1:]] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (heads, ruler, *cells)]


def _facts(found: RunComparison) -> dict[str, Any]:
    runs = {
        side: {"run_id": run.run_id, "commit": run.commit, "verdict": run.verdict.value if run.verdict else None}
        for side, run in (("a", found.left), ("b", found.right))
    }
    cases = [
        {
            "case": case.case,
            "a": dataclasses.asdict(case.left),
            "b": dataclasses.asdict(case.right),
            "delta_us": case.delta_us,
            "change": case.change,
            "intervals_apart": case.apart,
            "stages": [
                {
                    "stage": stage.stage,
                    "a_total_us": stage.base_total_us,
                    "b_total_us": stage.total_us,
                    "a_critical_us": stage.base_critical_us,
                    "b_critical_us": stage.critical_us,
                }
                for stage in case.stages
            ],
            "inputs_differ": case.inputs_differ,
            "digests": [
                {"output": pair.output, "a": list(pair.left), "b": list(pair.right), "same": pair.same}
                for pair in case.digests
            ],
        }
        for case in found.cases
    ]
    tuning = [{"case": case, "knob": knob, "a": left, "b": right} for case, knob, left, right in found.tuning]
    toolchain = [{"name": name, "a": left, "b": right} for name, left, right in found.toolchain]
    return {
        **runs,
        "clock": found.clock.value,
        "cases": cases,
        "only_in_a": list(found.only_left),
        "only_in_b": list(found.only_right),
        "tuning": tuning,
        "toolchain": toolchain,
    }
