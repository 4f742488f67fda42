"""The certificates by which a forge is recognized, read once: that takes a tenth of a second, on the event loop."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def trusted() -> ssl.SSLContext:
    """Return what every connection to a forge is checked with. Certificates that change are read at the next start."""
    return httpx.create_ssl_context()
