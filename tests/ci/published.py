"""The published example deliveries, each with the signature that octokit's own package made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_FILE = json.loads((Path(__file__).parent.parent / "data" / "github" / "deliveries.json").read_text())


@dataclass(frozen=True)
class Published:
    """One delivery as GitHub would send it."""

    event: str
    action: str
    body: str
    signature: str

    def headers(self, delivery_id: str) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "x-github-event": self.event,
            "x-github-delivery": delivery_id,
            "x-hub-signature-256": self.signature,
        }


DELIVERIES = [Published(**each) for each in _FILE["deliveries"]]
assert _FILE["secret"] == "It's a Secret to Everybody"


def published(event: str, action: str = "") -> Published:
    return next(each for each in DELIVERIES if (each.event, each.action) == (event, action))
