"""Pictures of rectangles, lines and words as SVG: the same picture gives the same text, and nothing in it can run."""

from __future__ import annotations

import html
from collections.abc import Sequence

from farm.text import one_line

_FONT = "DejaVu Sans, Verdana, sans-serif"
_WIDTH = 0.62  # of a letter, as a share of the size of the font


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """The picture, `width` by `height` pixels, on white; `title` is what a screen reader says."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FONT}">'
    return "\n".join([head, f"<title>{_plain(title)}</title>", box(0, 0, width, height, "#fff"), *parts, "</svg>\n"])


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none") -> str:
    """A rectangle; `x` and `y` are its upper left corner."""
    place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}"/>'


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = "#888") -> str:
    """A straight line."""
    return f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{stroke}"/>'


def diamond(x: float, y: float, radius: float, fill: str) -> str:
    """A square on its corner around `x`, `y`."""
    corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
    return f'<polygon points="{" ".join(f"{a:.2f},{b:.2f}" for a, b in corners)}" fill="{fill}"/>'


def words(
    x: float, y: float, text: str, size: float = 11, anchor: str = "start", fill: str = "#000", turn: float = 0
) -> str:
    """One line of text whose middle is at the height `y`; `turn` is degrees clockwise around `x`, `y`."""
    turned = f' transform="rotate({turn:g} {x:.2f} {y:.2f})"' if turn else ""
    place = f'x="{x:.2f}" y="{y:.2f}" dominant-baseline="central" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size:g}" fill="{fill}"{turned}>{_plain(text)}</text>'


def width_of(text: str, size: float) -> float:
    """About how wide `words` is, in pixels: enough room for it in any of the fonts."""
    return len(one_line(text)) * size * _WIDTH


def _plain(text: str) -> str:
    return html.escape(one_line(text))
