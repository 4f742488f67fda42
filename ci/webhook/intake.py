"""Decides whether a request is a webhook delivery to take in: who sent it, what it is, whether it is for us.

GitHub's headers are also those of Gitea and Forgejo, which send them beside their own. GitLab sends a secret token in
place of a signature.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from ci.config.forge import ForgeKind
from ci.errors import RejectedDeliveryError

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_WORD = re.compile(r"[a-z0-9_]{1,64}")  # events and actions


@dataclass(frozen=True, slots=True)
class Headers:
    """What a delivery says of itself before its body is read."""

    kind: ForgeKind
    signature: str  # "sha256=…"; GitLab's token
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
    signature = _token(headers) if kind == "gitlab" else _signature(headers)
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large(limit)
    content = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/json":
        raise RejectedDeliveryError(415, "set the webhook's content type at the forge to application/json")
    names = ("X-Gitlab-Event", "X-Gitlab-Event-UUID") if kind == "gitlab" else ("X-GitHub-Event", "X-GitHub-Delivery")
    event, delivery_id = (headers.get(name.lower(), "") for name in names)
    if kind == "gitlab":
        event = event.lower().replace(" ", "_")  # "Merge Request Hook"
        delivery_id = headers.get("idempotency-key", "") or delivery_id
    if not _WORD.fullmatch(event):
        raise RejectedDeliveryError(400, f"{names[0]} is missing or not an event's name")
    if not _DELIVERY_ID.fullmatch(delivery_id):
        raise RejectedDeliveryError(400, f"{names[1]} is missing or not an id")
    return Headers(kind, signature, event, delivery_id)


def _signature(headers: Mapping[str, str]) -> str:
    signature = headers.get("x-hub-signature-256", "")
    if not signature:
        raise RejectedDeliveryError(401, "no X-Hub-Signature-256; set the webhook's secret at the forge")
    if not _SIGNATURE.fullmatch(signature):
        raise RejectedDeliveryError(401, "X-Hub-Signature-256 is not 'sha256=' and 64 hexadecimal digits")
    return signature


def _token(headers: Mapping[str, str]) -> str:
    token = headers.get("x-gitlab-token", "")
    if not token:
        raise RejectedDeliveryError(401, "no X-Gitlab-Token; set the webhook's secret token at GitLab")
    return token


def too_large(limit: int) -> RejectedDeliveryError:
    """The error for a body of more than `limit` bytes."""
    return RejectedDeliveryError(413, f"more than the {limit} bytes of server.max_body_bytes")


def read_delivery(forge: str, headers: Headers, body: bytes, secrets: Iterable[SecretStr]) -> Delivery:
    """The delivery in `body`, signed with one of `secrets`. Raises `RejectedDeliveryError`."""
    if headers.kind == "gitlab":
        if not _known(headers.signature, secrets):
            raise RejectedDeliveryError(401, "X-Gitlab-Token is none of the configured secrets")
    elif not signed(body, headers.signature, secrets):
        raise RejectedDeliveryError(401, "the signature fits none of the configured secrets")
    try:
        text = body.decode()  # first: `json` would guess other encodings
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, an absurd number, or too deep
        raise RejectedDeliveryError(400, f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(payload, dict):
        raise RejectedDeliveryError(400, "the body is JSON, but no object")
    if headers.kind == "gitlab":
        # A webhook that another one triggers has the UUID of the first, so the body is a part of the id.
        delivery_id = f"{headers.delivery_id[:47]}-{hashlib.sha256(body).hexdigest()[:16]}"
        name, action = _inner(payload, "project", "path_with_namespace"), _inner(payload, "object_attributes", "action")
    else:
        delivery_id = headers.delivery_id
        name, action = _inner(payload, "repository", "full_name"), payload.get("action")
    return Delivery(forge, delivery_id, headers.event, _word(action or ""), _name(name), text)


def _inner(payload: dict[str, Any], table: str, key: str) -> Any:
    found = payload.get(table)
    return found.get(key, "") if isinstance(found, dict) else ""


def _known(token: str, secrets: Iterable[SecretStr]) -> bool:
    """Whether `token` is one of `secrets`, in a time that does not depend on how much of it fits."""
    return any(hmac.compare_digest(token.encode(), secret.get_secret_value().encode()) for secret in secrets)


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
    raise RejectedDeliveryError(400, "the payload's name of the repository is none")
