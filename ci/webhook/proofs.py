"""What shows that a delivery comes from its forge: a signature, or a token that both sides know.

GitHub, Gitea and Forgejo sign the body, and GitCode does so where a key for signatures is set. GitLab, and GitCode with
a password, send the secret itself. Gitee signs the moment of sending and not the body.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import SecretStr

from ci.config.forge import ForgeKind
from ci.errors import RejectedDeliveryError

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_MILLISECONDS = re.compile(r"[0-9]{13}")
_WITHIN_S = 3600.0  # by which Gitee's own receivers tell an old signature


class Method(enum.Enum):
    """How a delivery is proven."""

    BODY = enum.auto()  # HMAC-SHA256 of the body, in hexadecimal after "sha256="
    TOKEN = enum.auto()  # the secret itself
    MOMENT = enum.auto()  # HMAC-SHA256 of the time and the secret, in base64


@dataclass(frozen=True, slots=True)
class Proof:
    """What a delivery's headers have to show for it."""

    method: Method
    header: str  # its name, for messages
    value: str
    sent_ms: str = ""  # since 1970, of Method.MOMENT


def read_proof(kind: ForgeKind, headers: Mapping[str, str]) -> Proof:
    """Return the proof of a delivery, checked for its form alone. Raises `RejectedDeliveryError`."""
    if kind == "gitlab":
        return _token(headers, "X-Gitlab-Token", "set the webhook's secret token at GitLab")
    if kind == "gitcode":
        if "x-gitcode-signature-256" in headers:
            return _signature(headers, "X-GitCode-Signature-256")
        return _token(headers, "X-GitCode-Token", "set the webhook's signature key at GitCode")
    if kind == "gitee":
        return _moment(headers)
    return _signature(headers, "X-Hub-Signature-256")


def require_proven(proof: Proof, body: bytes, secrets: Iterable[SecretStr], now_s: float | None = None) -> None:
    """Raise `RejectedDeliveryError` unless `proof` was made with one of `secrets`.

    Args:
        proof: As `read_proof` returns it.
        body: As it came.
        secrets: Every one that is accepted.
        now_s: Seconds since 1970; None for this machine's clock.
    """
    if proof.method is Method.TOKEN:
        if not _known(proof.value, secrets):
            raise RejectedDeliveryError(401, f"{proof.header} is none of the configured secrets")
    elif proof.method is Method.BODY:
        if not signed(body, proof.value, secrets):
            raise RejectedDeliveryError(401, "the signature fits none of the configured secrets")
    else:
        _require_moment(proof, secrets, time.time() if now_s is None else now_s)


def signed(body: bytes, signature: str, secrets: Iterable[SecretStr]) -> bool:
    """Whether `signature`, of the form `read_proof` lets through, is `body`'s under one of `secrets`.

    The form matters: for anything else the library would fall back to SHA-1. It compares in constant time.
    """
    from githubkit.webhooks import verify  # takes a while to load

    return any(verify(secret.get_secret_value(), body, signature) for secret in secrets)


def _signature(headers: Mapping[str, str], name: str) -> Proof:
    value = headers.get(name.lower(), "")
    if not value:
        raise RejectedDeliveryError(401, f"no {name}; set the webhook's secret at the forge")
    if not _SIGNATURE.fullmatch(value):
        raise RejectedDeliveryError(401, f"{name} is not 'sha256=' and 64 hexadecimal digits")
    return Proof(Method.BODY, name, value)


def _token(headers: Mapping[str, str], name: str, remedy: str) -> Proof:
    value = headers.get(name.lower(), "")
    if not value:
        raise RejectedDeliveryError(401, f"no {name}; {remedy}")
    return Proof(Method.TOKEN, name, value)


def _moment(headers: Mapping[str, str]) -> Proof:
    value, sent_ms = headers.get("x-gitee-token", ""), headers.get("x-gitee-timestamp", "")
    if not value:
        raise RejectedDeliveryError(401, "no X-Gitee-Token; set the webhook's signature key at Gitee")
    if not _MILLISECONDS.fullmatch(sent_ms):
        raise RejectedDeliveryError(401, "X-Gitee-Timestamp is not a time in milliseconds since 1970")
    return Proof(Method.MOMENT, "X-Gitee-Token", value, sent_ms)


def _require_moment(proof: Proof, secrets: Iterable[SecretStr], now_s: float) -> None:
    if abs(now_s - int(proof.sent_ms) / 1000) > _WITHIN_S:
        raise RejectedDeliveryError(401, "X-Gitee-Timestamp is more than an hour from this machine's clock")
    given = unquote(proof.value).encode()  # Gitee's manual encodes it for an address, its deliveries do not
    for secret in secrets:
        key = secret.get_secret_value()
        made = hmac.new(key.encode(), f"{proof.sent_ms}\n{key}".encode(), hashlib.sha256).digest()
        if hmac.compare_digest(given, base64.b64encode(made)):
            return
    raise RejectedDeliveryError(
        401, "X-Gitee-Token fits none of the configured secrets; choose the signature key at Gitee, not the password"
    )


def _known(token: str, secrets: Iterable[SecretStr]) -> bool:
    """Whether `token` is one of `secrets`, in a time that does not depend on how much of it fits."""
    return any(hmac.compare_digest(token.encode(), secret.get_secret_value().encode()) for secret in secrets)
