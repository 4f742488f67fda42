"""Decides whether a request is a webhook delivery to take in: who sent it, what it is, whether it is for us.

GitHub's headers are also those of Gitea and Forgejo, which send them beside their own. GitCode's payloads are GitLab's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from ci.config.forge import ForgeKind
from ci.errors import RejectedDeliveryError
from ci.webhook.proofs import Proof, read_proof, require_proven

_DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_WORD = re.compile(r"[a-z0-9_]{1,64}")  # events and actions


@dataclass(frozen=True, slots=True)
class _Sender:
    """Where a kind of forge writes what a delivery is."""

    event: str  # header
    delivery: str  # header
    repository: tuple[str, str]  # field of the payload, and its field with "owner/name"
    action: tuple[str, str]  # the same, with the action; "" for a field of the payload itself
    prefix: str = ""  # of our name of its events, where another forge has an event of the same name
    has_unique_ids: bool = True


_SENDERS: Mapping[ForgeKind, _Sender] = {
    kind: _Sender("X-GitHub-Event", "X-GitHub-Delivery", ("repository", "full_name"), ("", "action"))
    for kind in ("github", "gitea")
} | {
    # A webhook of GitLab that another one triggers has the UUID of the first.
    "gitlab": _Sender(
        "X-Gitlab-Event",
        "X-Gitlab-Event-UUID",
        ("project", "path_with_namespace"),
        ("object_attributes", "action"),
        has_unique_ids=False,
    ),
    "gitcode": _Sender(
        "X-GitCode-Event",
        "X-GitCode-Delivery",
        ("project", "path_with_namespace"),
        ("object_attributes", "action"),
        prefix="gitcode_",
        has_unique_ids=False,
    ),
    # Gitee's deliveries have a time and no id.
    "gitee": _Sender(
        "X-Gitee-Event",
        "X-Gitee-Timestamp",
        ("repository", "path_with_namespace"),
        ("", "action"),
        prefix="gitee_",
        has_unique_ids=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Headers:
    """What a delivery says of itself before its body is read."""

    kind: ForgeKind
    proof: Proof
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


def read_headers(headers: Mapping[str, str], limit: int, kind: ForgeKind = "github") -> Headers:
    """The headers, checked before a byte of the body is read. Raises `RejectedDeliveryError`."""
    proof = read_proof(kind, headers)
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large(limit)
    content = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/json":
        raise RejectedDeliveryError(415, "set the webhook's content type at the forge to application/json")
    sender = _SENDERS[kind]
    event, delivery_id = (headers.get(name.lower(), "") for name in (sender.event, sender.delivery))
    if kind in ("gitlab", "gitcode", "gitee"):
        event = event.lower().replace(" ", "_")  # "Merge Request Hook"
    if kind == "gitlab":
        delivery_id = headers.get("idempotency-key", "") or delivery_id
    if not _WORD.fullmatch(event):
        raise RejectedDeliveryError(400, f"{sender.event} is missing or not an event's name")
    if not _DELIVERY_ID.fullmatch(delivery_id):
        raise RejectedDeliveryError(400, f"{sender.delivery} is missing or not an id")
    return Headers(kind, proof, f"{sender.prefix}{event}", delivery_id)


def too_large(limit: int) -> RejectedDeliveryError:
    """The error for a body of more than `limit` bytes."""
    return RejectedDeliveryError(413, f"more than the {limit} bytes of server.max_body_bytes")


def read_delivery(
    forge: str, headers: Headers, body: bytes, secrets: Iterable[SecretStr], now_s: float | None = None
) -> Delivery:
    """The delivery in `body`, proven by one of `secrets`. Raises `RejectedDeliveryError`.

    `now_s` is in seconds since 1970; None for this machine's clock.
    """
    require_proven(headers.proof, body, secrets, now_s)
    try:
        text = body.decode()  # first: `json` would guess other encodings
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, an absurd number, or too deep
        raise RejectedDeliveryError(400, f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(payload, dict):
        raise RejectedDeliveryError(400, "the body is JSON, but no object")
    sender = _SENDERS[headers.kind]
    delivery_id = headers.delivery_id
    if not sender.has_unique_ids:  # then the body is a part of the id
        delivery_id = f"{delivery_id[:47]}-{hashlib.sha256(body).hexdigest()[:16]}"
    name, action = _inner(payload, *sender.repository), _inner(payload, *sender.action)
    return Delivery(forge, delivery_id, headers.event, _word(action or ""), _name(name), text)


def _inner(payload: dict[str, Any], table: str, key: str) -> Any:
    found = payload.get(table) if table else payload
    return found.get(key, "") if isinstance(found, dict) else ""


def _word(value: Any) -> str:
    if value == "" or (isinstance(value, str) and _WORD.fullmatch(value)):
        return str(value)
    raise RejectedDeliveryError(400, "the payload's 'action' is no action's name")


def _name(value: Any) -> str:
    if isinstance(value, str) and len(value) <= 201 and value.isascii() and value.isprintable():
        return value
    raise RejectedDeliveryError(400, "the payload's name of the repository is none")
