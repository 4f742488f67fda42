"""What a chart is on a page: a figure of plotly.js as plain data, and the same in words for who cannot see it."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

from farm.text import one_line

Part = dict[str, Any]  # of a figure: a trace, an axis, a shape

_LABEL = 48  # characters of a name on an axis or in a legend


def layout(**more: Any) -> Part:
    """What all figures share, and `more`. Colours that depend on light or dark are set by the script of the page."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "margin": {"l": 72, "r": 16, "t": 16, "b": 48},
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        **more,
    }


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of a page. `said` must hold what a person would read off the picture."""

    id: str  # unique on the page, a letter first
    said: str
    traces: list[Part]
    layout: Part
    zooms: bool = False  # along x, by buttons too

    def json(self) -> str:
        """The figure as JSON that cannot end the script element it stands in."""
        text = json.dumps({"data": self.traces, "layout": self.layout}, separators=(",", ":"), allow_nan=False)
        for char in "<>&":
            text = text.replace(char, f"\\u{ord(char):04x}")
        return text


def label(text: str) -> str:
    """A name as a figure's text: plotly takes a few tags and entities in it for markup, links among them."""
    return html.escape(one_line(text, _LABEL), quote=False)


def across(y: float, line: Part) -> Part:
    """A line at `y` over the whole width."""
    return {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def above(y: float, text: str) -> Part:
    """A text at the right end of a line at `y`."""
    return {
        "xref": "x domain",
        "x": 1,
        "xanchor": "right",
        "y": y,
        "yanchor": "bottom",
        "text": text,
        "showarrow": False,
    }
