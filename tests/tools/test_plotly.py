"""The charts' script is the one that npm has, and its licence goes with it."""

from __future__ import annotations

import hashlib

from tools.plotly import LICENSE, SCRIPT, SHA256, VERSION


def test_the_script_is_the_published_one() -> None:
    content = SCRIPT.read_bytes()

    assert hashlib.sha256(content).hexdigest() == SHA256, "run `python -m tools.plotly`"
    assert f"plotly.js (basic - minified) v{VERSION}" in content[:80].decode()


def test_its_licence_is_beside_it() -> None:
    assert "MIT License" in LICENSE.read_text()
    assert "Plotly" in LICENSE.read_text()
