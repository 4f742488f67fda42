"""What a notebook shows for a run: one small table in HTML, without scripts or styles of its own."""

from __future__ import annotations

from html import escape

from farm.analysis.figures import case_times
from farm.model.run import RunRecord, Verdict
from farm.text import counted, microseconds, one_line, signed_share

_COLOURS = {Verdict.PASSED: "#1a7f37", Verdict.FAILED: "#cf222e", Verdict.ERRORED: "#9a6700"}
_HEADS = ("case", "median µs", "± MAD", "samples", "budget µs", "left", "set by")


def html(record: RunRecord) -> str:
    """Verdict, subject, times of each case, gates. Every word from outside is escaped."""
    word = record.verdict.value if record.verdict else "running"
    colour = _COLOURS[record.verdict] if record.verdict else "inherit"
    head = f'<strong style="color:{colour}">{word}</strong> {_text(record.reason)}'
    subject = f"{record.kernel} on {record.platform} at {record.commit}, run {record.run_id}"
    clock = f"{record.clock.value} µs on {counted(len(record.devices), 'device')}"
    gates = ", ".join(f"{judged.name} {judged.status.value}" for judged in record.gates) or "none judged"
    return (
        f"<div>{head}<br><small>{_text(subject)}</small>"
        f"<table><thead>{_row('th', _HEADS)}</thead><tbody>{''.join(_row('td', row) for row in _times(record))}"
        f"</tbody></table><small>{_text(clock)}; gates: {_text(gates)}</small></div>"
    )


def _times(record: RunRecord) -> list[tuple[str, ...]]:
    return [
        (
            time.case,
            microseconds(time.median_us),
            microseconds(time.mad_us),
            str(time.samples),
            microseconds(time.limit_us),
            "–" if time.left is None else signed_share(time.left),
            time.set_by or "–",
        )
        for time in case_times(record)
    ]


def _row(cell: str, texts: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{cell}>{_text(text)}</{cell}>" for text in texts) + "</tr>"


def _text(text: str) -> str:
    return escape(one_line(text))
