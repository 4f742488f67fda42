"""Webhook deliveries as GitHub sends them."""

from __future__ import annotations

import json
from typing import Any

import httpx
from githubkit.webhooks import sign

from tests.ci.configuration import ENVIRONMENT


def deliver(service: str, pull: dict[str, Any]) -> None:
    """Tell the service at this URL that somebody pushed to `pull`; it must take that in."""
    repository = {"full_name": "octo-org/kernels", "default_branch": "main"}
    body = json.dumps({"action": "synchronize", "pull_request": pull, "repository": repository})
    headers = {"x-github-event": "pull_request", "x-github-delivery": f"{pull['number']}-{pull['head']['sha'][-12:]}"}
    headers |= {"content-type": "application/json"}
    headers |= {"x-hub-signature-256": sign(ENVIRONMENT["SECRET"], body, method="sha256")}
    answer = httpx.post(f"{service}/webhooks/github", content=body, headers=headers, timeout=30)
    assert answer.status_code == 202, answer.text
