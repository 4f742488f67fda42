"""Reads overrides of a tuning, `key → text`, into a frozen dataclass of knobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from kernel.errors import TuningError, unknown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Knobs = TypeVar("Knobs", bound=DataclassInstance)

_TRUE, _FALSE = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


def overridden(knobs: Knobs, overrides: Mapping[str, str]) -> Knobs:
    """`knobs` with `overrides` read as the type each knob has now, `int`, `bool` or `str`.

    Raises `TuningError` for an unknown key or an unreadable value.
    """
    known = {field.name: type(getattr(knobs, field.name)) for field in fields(knobs)}
    for key in overrides:
        if key not in known:
            raise TuningError(unknown("tuning key", key, known))
    return replace(knobs, **{key: _read(key, text, known[key]) for key, text in overrides.items()})


def _read(key: str, text: str, kind: type) -> int | bool | str:
    """`text` as the type of knob `key`. Raises `TuningError`."""
    lowered = text.strip().lower()
    if kind is str:
        return text.strip()
    if kind is bool and lowered in _TRUE + _FALSE:
        return lowered in _TRUE
    if kind is int and lowered.removeprefix("-").isdecimal():
        return int(lowered)
    raise TuningError(f"tuning key '{key}' cannot read {text!r} as {kind.__name__}; see its default for the form")
