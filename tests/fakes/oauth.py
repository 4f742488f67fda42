"""The OAuth provider of a forge: consent given or refused in advance, codes good for one exchange, tokens of people.

Strict where GitHub and Gitea are: the redirect is the registered one, PKCE's challenge is S256 and is met by its
verifier, and the client proves itself by its secret.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "client-of-the-tests"
CLIENT_SECRET = "client-secret-of-the-tests"


@dataclass
class OAuth:
    """The state of a provider; its routes are of the forge's own host."""

    refuses_with: int  # HTTP status of a refused exchange: GitHub answers 200, Gitea 400
    callback: str = ""  # the registered one
    user: str = ""  # who is signed in at the forge; "" refuses consent
    down: bool = False  # the exchange answers 502
    tokens: dict[str, str] = field(default_factory=dict)  # token → login
    scopes: list[str] = field(default_factory=list)  # that were asked for
    logins: dict[str, str] = field(default_factory=dict)  # code → a login that its account has all of a sudden
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict)  # code → (login, challenge)

    def routes(self) -> list[Route]:
        """To be added to a forge's."""
        return [
            Route("/login/oauth/authorize", self._authorize),
            Route("/login/oauth/access_token", self._exchange, methods=["POST"]),
        ]

    async def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        right = {"client_id": CLIENT_ID, "response_type": "code", "redirect_uri": self.callback}
        right["code_challenge_method"] = "S256"
        wrong = [name for name, value in right.items() if asked.get(name) != value]
        if wrong or not asked.get("state") or len(asked.get("code_challenge", "")) != 43:
            return JSONResponse({"message": f"not understood: {wrong}"}, 400)
        self.scopes.append(asked.get("scope", ""))
        if not self.user:
            return self._back(asked["state"], error="access_denied", error_description="<b>they declined</b>")
        code = secrets.token_hex(10)
        self._codes[code] = (self.user, asked["code_challenge"])
        return self._back(asked["state"], code=code)

    def _back(self, state: str, **told: str) -> RedirectResponse:
        return RedirectResponse(f"{self.callback}?{urlencode({**told, 'state': state})}", 302)

    async def _exchange(self, request: Request) -> Response:
        if self.down:
            return JSONResponse({"message": "bad gateway"}, 502)
        asked = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        right = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "authorization_code"}
        right["redirect_uri"] = self.callback
        if any(asked.get(name) != value for name, value in right.items()):
            return self._refused("incorrect_client_credentials")
        login, challenge = self._codes.pop(asked.get("code", ""), ("", ""))
        if not login or _challenge(asked.get("code_verifier", "")) != challenge:
            return self._refused("bad_verification_code")
        token = f"gho_{secrets.token_hex(8)}"
        self.tokens[token] = self.logins.get(asked["code"], login)
        return JSONResponse({"access_token": token, "token_type": "bearer", "scope": ""})

    def _refused(self, error: str) -> JSONResponse:
        said: dict[str, Any] = {"error": error, "error_description": "see the documentation"}
        return JSONResponse(said, self.refuses_with)

    def login_of(self, request: Request) -> str | None:
        """Whose token a request brings; None where it is nobody's."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return self.tokens.get(token) if kind.lower() == "bearer" else None


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
