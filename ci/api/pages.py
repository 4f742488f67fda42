"""Lists in pages. A cursor is the position of the last item shown, so what is added meanwhile moves nothing."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from ci.api.problems import ApiError

Item = TypeVar("Item")

_LARGEST = (1 << 63) - 1  # what a database takes as a number

Limit = Annotated[int, Query(ge=1, le=200, description="Most items of one page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]
# Text that is compared with columns; PostgreSQL takes no NUL, and nothing here needs one.
Word = Annotated[str, Query(pattern=r"^[A-Za-z0-9._/-]{1,200}$")]


class Page(BaseModel, Generic[Item]):
    """Some items of a list, newest first."""

    items: list[Item]
    next: str | None = Field(description="Cursor of the next page, null on the last one.")


def cursor(*position: str | int) -> str:
    """A position as text without meaning to others."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def text_position(text: str) -> tuple[str, str]:
    """The two texts of a cursor. Raises `ApiError`."""
    found = _parts(text)
    if len(found) != 2 or not all(isinstance(part, str) and part.isascii() and "\0" not in part for part in found):
        raise _foreign()
    return str(found[0]), str(found[1])


def number_position(text: str) -> int:
    """The number of a cursor. Raises `ApiError`."""
    found = _parts(text)
    if len(found) != 1 or type(found[0]) is not int or not 0 <= found[0] <= _LARGEST:
        raise _foreign()
    return int(found[0])


def _parts(text: str) -> list[object]:
    try:
        found = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
    except (binascii.Error, ValueError, RecursionError):  # UnicodeError is a ValueError
        raise _foreign() from None
    if not isinstance(found, list):
        raise _foreign()
    return found


def _foreign() -> ApiError:
    return ApiError(400, "cursor: not one of this list; begin again without it")
