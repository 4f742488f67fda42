"""`bisect.md`: a bisect for a person. The answer first, then every test in the order of the commits.

Names and messages come from outside and are escaped as in `farm.report.run.markdown`.
"""

from __future__ import annotations

from farm.model.bisect import Answer, BisectRecord, CommitOutcome, CommitRecord
from farm.report.bisect.figures import effort, extent, go_on, minutes
from farm.report.run.markdown import code, prose
from farm.text import counted

_MARKS = {
    CommitOutcome.FOUND: "🎯 found",
    CommitOutcome.NARROWED: "⚠️ narrowed",
    CommitOutcome.INTERRUPTED: "⚠️ interrupted",
    CommitOutcome.ERRORED: "⚠️ errored",
}
_ANSWERS = {Answer.GOOD: "✅ good", Answer.BAD: "❌ bad", Answer.SKIPPED: "⏭️ skipped"}
_SHOWN_SUSPECTS = 20


def page(record: BisectRecord) -> str:
    """The whole page."""
    request = record.request
    where = (
        f"{code(request.kernel)} {code(request.case)} on {code(request.platform)}, {request.metric.value}, "
        f"{code(request.good[:12])} to {code(request.bad[:12])}, bisect {code(record.bisect_id)}"
    )
    sections = [f"## {_MARKS[record.outcome]}: {prose(record.reason)}", where, *_commits(record), *_probes(record)]
    return "\n\n".join([*sections, *_footer(record)]) + "\n"


def _commits(record: BisectRecord) -> list[str]:
    by_id = {each.commit: each for each in record.candidates}
    suspects = [by_id[commit] for commit in record.suspects]
    if record.outcome not in (CommitOutcome.FOUND, CommitOutcome.NARROWED):
        return [f"Left to search: {counted(len(suspects), 'commit')}. Go on with\n\n    {go_on(record)}"]
    lines = [_commit(each) for each in suspects[:_SHOWN_SUSPECTS]]
    if len(suspects) > _SHOWN_SUSPECTS:
        lines.append(f"- and {len(suspects) - _SHOWN_SUSPECTS} more in bisect.json")
    if record.run_id:
        lines.append(f"- against the last good one: run {code(record.run_id)}")
    return ["\n".join(lines)]


def _commit(commit: CommitRecord) -> str:
    merge = " (a merge: search what came in by it)" if len(commit.parents) > 1 else ""
    return f"- {code(commit.commit)} {prose(commit.subject)}, {prose(commit.author)}, {prose(commit.date)}{merge}"


def _probes(record: BisectRecord) -> list[str]:
    subjects = {each.commit: each.subject for each in record.candidates}
    rows = [
        f"| {code(probe.commit[:12])} | {prose(subjects[probe.commit])} | {probe.round or 'ends'} | "
        f"{code(probe.device)} | {_ANSWERS[probe.answer]} | {prose(probe.reason)} | {minutes(probe.probe_s)} |"
        for probe in sorted(record.probes, key=lambda probe: (probe.position, probe.round))
    ]
    heads = "| commit | subject | round | device | answer | why | took |\n|---|---|---|---|---|---|---|"
    return ["### Tests", "\n".join([heads, *rows])] if rows else []


def _footer(record: BisectRecord) -> list[str]:
    lines = [*(f"- {prose(note)}" for note in record.notes), f"- {extent(record)}", f"- {effort(record)}"]
    return ["---", "\n".join(lines)]
