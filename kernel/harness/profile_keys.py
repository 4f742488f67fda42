"""What to say of a key that a profile does not have."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Sequence

from pydantic import BaseModel


def unknown_key(profile: type[BaseModel], place: Sequence[str | int]) -> str:
    """Say that a `profile` has nothing at `place`: with the nearest key of that table, or all where none is near."""
    table = _table(profile, place[:-1])
    known = sorted(table.model_fields) if table is not None else []
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    if near:
        return f"no such key; did you mean '{near[0]}'?"
    return f"no such key; known here: {', '.join(known)}" if known else "no such key"


def _table(profile: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the table at `place`. Places in a list and names of a mapping are left out."""
    table: type[BaseModel] | None = profile
    named = False  # the last part has named a mapping or a list, and the next one is its entry
    for part in place:
        if table is None:
            return None
        if named:
            named = False
            continue
        annotation = table.model_fields[str(part)].annotation if part in table.model_fields else None
        named = typing.get_origin(annotation) in (dict, list)
        table = _model_in(annotation)
    return table


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the table that `annotation` is, or is a list, mapping or option of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in typing.get_args(annotation) if (found := _model_in(each))), None)
