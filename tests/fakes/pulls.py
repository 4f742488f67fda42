"""Pull requests as forges describe them."""

from __future__ import annotations

from typing import Any


def sha(seed: int) -> str:
    """A commit."""
    return f"{seed:040x}"


def pull(number: int, head: int, *, state: str = "open", draft: bool = False, fork: bool = False) -> dict[str, Any]:
    """A pull request of `octo-org/kernels` at commit `sha(head)`."""
    base = {"full_name": "octo-org/kernels", "name": "kernels", "owner": {"login": "octo-org"}}
    other = {"full_name": "somebody/kernels", "name": "kernels", "owner": {"login": "somebody"}}
    return {
        "number": number,
        "state": state,
        "draft": draft,
        "title": f"Change {number}",
        "user": {"login": "somebody", "type": "User"},
        "head": {
            "sha": sha(head),
            "ref": "change",
            "label": "x:change",
            "repo": other if fork else base,
            "user": {"login": "x"},
        },
        "base": {"sha": sha(1), "ref": "main", "label": "octo-org:main", "repo": base, "user": {"login": "octo-org"}},
    }
