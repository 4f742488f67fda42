"""Decides whether a request is a webhook delivery to take in: who sent it, what it is, whether it is for us.

GitHub's headers are also those of Gitea and Forgejo, which send them beside their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from ci.errors import RejectedDeliveryError

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_WORD = re.compile(r"[a-z0-9_]{1,64}")  # events and actions


@dataclass(frozen=True, slots=True)
class Headers:
    """What a delivery says of itself before its body is read."""

    signature: str  # "sha256=…"
    event: str
    delivery_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook delivery."""

    forge: str  # name of the [forge.NAME]
    id: str
    event: str
    action: str  # "" for events without one
    repository: str  # "owner/name"; "" for events of no repository
    body: str  # JSON as it came


def read_headers(headers: Mapping[str, str], limit: int) -> Headers:
    """The headers, checked before a byte of the body is read. Raises `RejectedDeliveryError`."""
    signature = headers.get("x-hub-signature-256", "")
    if not signature:
        raise RejectedDeliveryError(401, "no X-Hub-Signature-256; set the webhook's secret at the forge")
    if not _SIGNATURE.fullmatch(signature):
        raise RejectedDeliveryError(401, "X-Hub-Signature-256 is not 'sha256=' and 64 hexadecimal digits")
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large(limit)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RejectedDeliveryError(415, "set the webhook's content type at the forge to application/json")
    event, delivery_id = headers.get("x-github-event", ""), headers.get("x-github-delivery", "")
    if not _WORD.fullmatch(event):
        raise RejectedDeliveryError(400, "X-GitHub-Event is missing or not an event's name")
    if not _DELIVERY_ID.fullmatch(delivery_id):
        raise RejectedDeliveryError(400, "X-GitHub-Delivery is missing or not an id")
    return Headers(signature, event, delivery_id)


def too_large(limit: int) -> RejectedDeliveryError:
    """The error for a body of more than `limit` bytes."""
    return RejectedDeliveryError(413, f"more than the {limit} bytes of server.max_body_bytes")


def read_delivery(forge: str, headers: Headers, body: bytes, secrets: Iterable[SecretStr]) -> Delivery:
    """The delivery in `body`, signed with one of `secrets`. Raises `RejectedDeliveryError`."""
    if not signed(body, headers.signature, secrets):
        raise RejectedDeliveryError(401, "the signature fits none of the configured secrets")
    try:
        text = body.decode()  # first: `json` would guess other encodings
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, an absurd number, or too deep
        raise RejectedDeliveryError(400, f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(payload, dict):
        raise RejectedDeliveryError(400, "the body is JSON, but no object")
    repository = payload.get("repository")
    name = repository.get("full_name") if isinstance(repository, dict) else ""
    action = payload.get("action") or ""
    return Delivery(forge, headers.delivery_id, headers.event, _word(action), _name(name), text)


def signed(body: bytes, signature: str, secrets: Iterable[SecretStr]) -> bool:
    """Whether `signature`, of the form `read_headers` lets through, is `body`'s under one of `secrets`.

    The form matters: for anything else the library would fall back to SHA-1. It compares in constant time.
    """
    from githubkit.webhooks import verify  # takes a while to load

    return any(verify(secret.get_secret_value(), body, signature) for secret in secrets)


def _word(value: Any) -> str:
    if value == "" or (isinstance(value, str) and _WORD.fullmatch(value)):
        return str(value)
    raise RejectedDeliveryError(400, "the payload's 'action' is no action's name")


def _name(value: Any) -> str:
    if isinstance(value, str) and len(value) <= 201 and value.isascii() and value.isprintable():
        return value
    raise RejectedDeliveryError(400, "the payload's 'repository.full_name' is no repository's name")
