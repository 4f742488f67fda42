"""What a chart is on a page: a plotly figure, and the same in words for readers who cannot see it."""

from __future__ import annotations

import html
from dataclasses import dataclass

import plotly.graph_objects as go

from farm.text import one_line

_LABEL = 48  # characters of a name on an axis or in a legend

# Everything but colours that depend on light or dark, which the page's own script sets.
LAYOUT = go.Layout(
    template="none",
    paper_bgcolor="rgba(0,0,0,0)",
    plot_bgcolor="rgba(0,0,0,0)",
    font={"family": "system-ui, sans-serif", "size": 13},
    margin={"l": 72, "r": 16, "t": 16, "b": 48},
    hovermode="closest",
    legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
)


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of a page. `said` must hold what a person would read off the picture."""

    id: str  # unique on the page, a letter first
    said: str
    figure: go.Figure
    zooms: bool = False  # along x, by buttons too

    def json(self) -> str:
        """The figure as JSON that cannot end the script element it stands in."""
        text: str = self.figure.to_json()
        for char in "<>&\u2028\u2029":
            text = text.replace(char, f"\\u{ord(char):04x}")
        return text


def label(text: str) -> str:
    """A name as a figure's text: plotly takes a few tags and entities in it for markup, links among them."""
    return html.escape(one_line(text, _LABEL), quote=False)
