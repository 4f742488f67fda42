"""Text in the search field of the list of runs, as conditions on the tables."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_

from ci.queue import job_targets
from ci.store.tables import JOB
from farm.store.run_queries import begins
from farm.store.tables import RUN

MOST_WORDS = 8


def conditions(text: str) -> tuple[ColumnElement[bool], ...]:
    """Every word of `text` must be found in a run or in the job it was made for; capitals do not matter.

    A word is how the run's id or a commit begins, part of the name of a kernel, an author or a branch, or the number of
    a pull request, with or without `#`. Raises `ValueError` for more than `MOST_WORDS` words.
    """
    words = text.split()
    if len(words) > MOST_WORDS:
        raise ValueError(f"{len(words)} words; {MOST_WORDS} are enough to find a run")
    return tuple(_found(word) for word in words)


def _found(word: str) -> ColumnElement[bool]:
    number = word.removeprefix("#")
    if number != word and _number(number):
        return _of_job(JOB.c.number == int(number))
    commit = word.lower()
    in_job = [column.icontains(word, autoescape=True) for column in (JOB.c.subject, JOB.c.base_ref, JOB.c.author)]
    in_job.append(begins(JOB.c.head_sha, commit))
    if _number(number):
        in_job.append(JOB.c.number == int(number))
    in_run = [begins(RUN.c.id, word), begins(RUN.c.commit, commit), RUN.c.kernel.icontains(word, autoescape=True)]
    return or_(*in_run, _of_job(or_(*in_job)))


def _of_job(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Runs made for a job of that kind: one pass over the jobs, however many runs there are."""
    return RUN.c.id.in_(job_targets.runs_for(condition))


def _number(text: str) -> bool:
    """Whether `text` can be the number of a pull request; a database takes no larger one."""
    return text.isascii() and text.isdecimal() and len(text) <= 9
