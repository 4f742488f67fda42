"""What a check and a comment say at each moment of a job. Pure."""

from __future__ import annotations

from ci.forge.markers import MARKER
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion
from ci.queue.outcome import JobOutcome
from farm.model.run import Verdict

# An errored run says nothing about the kernel. A forge counts "neutral" as met, so it would be merged unjudged.
CONCLUSIONS = {
    Verdict.PASSED: Conclusion.SUCCESS,
    Verdict.FAILED: Conclusion.FAILURE,
    Verdict.ERRORED: Conclusion.ACTION_REQUIRED,
}
_LONGEST_TITLE = 250  # characters
FORK = "This commit comes from a fork."  # why it is held


def opened(name: str, head_sha: str, job_id: str, url: str, title: str) -> Check:
    """The check the moment a job is in the queue."""
    return _check(name, head_sha, job_id, url, CheckStatus.QUEUED, title)


def held(name: str, head_sha: str, job_id: str, url: str, why: str) -> Check:
    """The check of a commit that somebody has to approve first; it stays open, so it can go on once that is done.

    `why` is a paragraph of Markdown.
    """
    summary = (
        f"{why} Someone with write access has to read it and then say\n\n"
        f"    /farm approve {head_sha}\n\nA newer commit needs its own approval."
    )
    check = _check(name, head_sha, job_id, url, CheckStatus.QUEUED, "Waits for an approval")
    return check.model_copy(update={"summary": summary})


def progress(name: str, head_sha: str, job_id: str, url: str, title: str, text: str) -> Check:
    """The check while the job runs; `text` is Markdown."""
    check = _check(name, head_sha, job_id, url, CheckStatus.IN_PROGRESS, title)
    return check.model_copy(update={"summary": text})


def cancelled(name: str, head_sha: str, job_id: str, url: str, reason: str) -> Check:
    """The check of a job that gets no verdict, because nobody waits for one."""
    check = _check(name, head_sha, job_id, url, CheckStatus.COMPLETED, f"Cancelled: {reason}")
    return check.model_copy(update={"conclusion": Conclusion.CANCELLED, "summary": reason})


def not_run(name: str, head_sha: str, job_id: str, url: str, reason: str) -> Check:
    """The check of a target whose job is over without having run it."""
    check = _check(name, head_sha, job_id, url, CheckStatus.COMPLETED, f"Not run: {reason}")
    return check.model_copy(update={"conclusion": Conclusion.ACTION_REQUIRED})


def completed(name: str, head_sha: str, job_id: str, url: str, outcome: JobOutcome) -> Check:
    """The check of a job that has its verdict."""
    title = f"{outcome.verdict.value}: {outcome.reason}"
    check = _check(name, head_sha, job_id, url, CheckStatus.COMPLETED, title)
    said = {"conclusion": CONCLUSIONS[outcome.verdict], "annotations": list(outcome.annotations)}
    said |= {"summary": outcome.report or check.title}
    return check.model_copy(update={**said, "offers_retry": outcome.verdict is Verdict.ERRORED})


def report_comment(number: int, report: str, kind: str, job_url: str, run_url: str) -> Comment:
    """The one comment on a pull request that has the newest report of a `kind`; `run_url` is "" where none began."""
    links = f"[Job and log]({job_url})" + (f", [run and figures]({run_url})" if run_url else "")
    headline, _, rest = report.strip().partition("\n\n")  # links come early: the end of a long comment is cut
    body = "\n\n".join(part for part in (headline, links, rest) if part)
    return Comment(number=number, marker=f"{MARKER} {kind} -->", body=f"{body}\n")


def reply(number: int, to: str, text: str) -> Comment:
    """An answer to a comment; `to` identifies the answer, so that none is given twice."""
    return Comment(number=number, marker=f"{MARKER} reply {to} -->", body=text)


def _check(name: str, head_sha: str, job_id: str, url: str, status: CheckStatus, title: str) -> Check:
    line = " ".join(title.split())
    line = line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1]}…"
    return Check(
        name=name, head_sha=head_sha, external_id=job_id, status=status, title=line, summary=line, details_url=url
    )
