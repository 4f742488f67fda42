"""Who may do what: who has a token with the scope; and anybody may read where the configuration says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine

from ci.api import tokens
from ci.api.once_a_day import OnceADay
from ci.api.problems import ApiError
from ci.api.token_uses import TokenUses
from ci.config.settings import Config
from ci.store.states import Scope
from farm import timestamps
from farm.model.audit import DONE

ANYBODY = "anybody"

_BEARER = HTTPBearer(auto_error=False, description="From `farm token create`.")


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What requests work on."""

    config: Config
    engine: Engine
    uses: TokenUses = field(default_factory=TokenUses)
    refusals: OnceADay = field(default_factory=OnceADay)  # of the dashboard's forms


def _gate(request: Request) -> ApiContext:
    gate: ApiContext = request.app.state.gate
    return gate


def _origin(request: Request) -> str:
    return request.client.host if request.client else ""


Origin = Annotated[str, Depends(_origin)]  # the address that a request comes from
GateHere = Annotated[ApiContext, Depends(_gate)]
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def require(scope: Scope) -> Callable[..., str]:
    """A dependency that lets holders of `scope` through, and returns the token's name."""

    def check(gate: GateHere, given: Given, origin: Origin) -> str:
        if given is None:
            if scope is Scope.READ and gate.config.api.public_read:
                return ANYBODY
            raise _unauthorized("a bearer token is needed; `farm token create` makes one")
        token = tokens.known(gate.engine, given.credentials)
        state = token.state(timestamps.as_text(timestamps.utc_now())) if token else ""
        outcome = DONE if state == "active" else f"refused: it is {state}"
        if token and state == "active" and scope not in token.scopes:
            outcome = f"refused: it has no scope '{scope.value}'"
        if token:
            gate.uses.note(gate.engine, token.name, origin, scope, outcome)
        if token is None or state != "active":
            raise _unauthorized("that token is unknown, expired or revoked")
        if outcome != DONE:
            raise ApiError(403, f"token '{token.name}' has no scope '{scope.value}'")
        return token.name

    return check


def _unauthorized(detail: str) -> ApiError:
    return ApiError(401, detail, {"WWW-Authenticate": "Bearer"})


READER: Any = Depends(require(Scope.READ))
Submitter = Annotated[str, Depends(require(Scope.SUBMIT))]
ADMIN: Any = Depends(require(Scope.ADMIN))
