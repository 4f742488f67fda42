"""The address of contents: equal for equal values, on every machine. Apart from `jobs.cache`, which loads torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def content_address(parts: Mapping[str, object]) -> str:
    """SHA-256 (hex) over `parts` as canonical JSON: equal contents in any order give the same address."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
