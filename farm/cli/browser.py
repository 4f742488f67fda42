"""Hands a page to the user's browser."""

from __future__ import annotations

import webbrowser


def browse(url: str) -> bool:
    """Open `url`; False where this machine has no browser to open it with."""
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
