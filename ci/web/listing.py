"""What the lists of jobs and of runs share: a form whose fields are in the address, and pages one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from ci.web.auth.access import Viewer
from ci.web.pages import query, render

PAGE = 50  # rows

# PostgreSQL takes no NUL in text, and nobody means one.
Word = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
After = Annotated[str, Query(max_length=500)]


def one_of(field: str, word: str, known: Sequence[str]) -> str:
    """Return `word` where it is "" or known. Raises `HTTPException` for another one."""
    if word and word not in known:
        raise HTTPException(422, f"{field}: choose one of {', '.join(known)}")
    return word


def listed(
    request: Request,
    who: Viewer,
    template: str,
    chosen: Mapping[str, str],
    after: str,
    following: str,
    **shown: Any,
) -> HTMLResponse:
    """Return one page of a list.

    Args:
        request: What asks for it.
        who: Who looks at it.
        template: Of the page.
        chosen: The fields of the form, which links to other pages keep.
        after: The cursor that the page begins at, "" for the first.
        following: The cursor of the next page, "" where this is the last.
        **shown: What else the template takes.
    """
    values: dict[str, Any] = {"chosen": chosen, "query": query(chosen), "first": not after, "next": following}
    return render(request, template, who, **values, **shown)
