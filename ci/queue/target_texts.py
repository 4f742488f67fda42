"""What a job of several targets says: its verdict, one line, and a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ci.queue.job_targets import TargetRun
from ci.store.states import TargetState
from farm.model.run import Verdict
from farm.report.run.markdown import code, prose
from farm.text import counted, one_line

_GRAVEST_FIRST = (Verdict.FAILED, Verdict.ERRORED, Verdict.PASSED)
_LONGEST_REASON = 300  # characters in a row of the table


def gravest(runs: Sequence[TargetRun]) -> Verdict:
    """Return the verdict of all targets: a proven fault comes first, and nothing measured is never a pass."""
    found = {each.verdict or Verdict.ERRORED for each in runs}
    return next((verdict for verdict in _GRAVEST_FIRST if verdict in found), Verdict.ERRORED)


def reason(runs: Sequence[TargetRun]) -> str:
    """Return why the job has its verdict, in one line."""
    if len(runs) == 1:
        return runs[0].reason
    verdict = gravest(runs)
    if verdict is Verdict.PASSED:
        return f"{counted(len(runs), 'target')} passed"
    grave = [each for each in runs if (each.verdict or Verdict.ERRORED) is verdict]
    if not grave:
        return "no target was run"
    more = f" (and {len(grave) - 1} more)" if len(grave) > 1 else ""
    first = f"{grave[0].name}: {grave[0].reason or 'not run'}"
    return f"{len(grave)} of {counted(len(runs), 'target')} {verdict.value}: {first}{more}"


def ranked(runs: Sequence[TargetRun]) -> list[TargetRun]:
    """Return the targets, the gravest first; those without a verdict come last."""
    order = {verdict: place for place, verdict in enumerate(_GRAVEST_FIRST)}
    return sorted(runs, key=lambda each: order[each.verdict] if each.verdict else len(order))


def table(runs: Sequence[TargetRun], site: str) -> str:
    """Return a Markdown table with a row for each target; `site` is the address of the service's pages."""
    rows = ["| target | verdict | reason | run |", "|---|---|---|---|"]
    for each in runs:
        says = each.verdict.value if each.verdict else each.state.value
        link = f"[{each.run_id}]({site}/runs/{each.run_id})" if each.run_id else "–"
        why = prose(one_line(each.reason, _LONGEST_REASON)) if each.reason else "–"
        rows.append(f"| {code(each.name)} | {says} | {why} | {link} |")
    return "\n".join(rows)


def under_way(runs: Sequence[TargetRun]) -> str:
    """Return which target of several runs now, as the beginning of a line; "" for a job of one."""
    now = next((each for each in runs if each.state is TargetState.RUNNING), None)
    return f"{now.name}, target {now.position + 1} of {len(runs)}: " if now and len(runs) > 1 else ""
