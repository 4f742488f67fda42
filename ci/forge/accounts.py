"""Who somebody is at a forge: OAuth's authorization code flow with PKCE, and the login behind the token it ends with.

The token answers that one question and is dropped. What somebody may do is asked with the service's own credential
(`Forge.permission`), so the token needs no right to anything, and the question can be asked again without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import httpx
from oauthlib.oauth2 import OAuth2Error, WebApplicationClient
from pydantic import Field, ValidationError

from ci.config.forge import ForgeSection, SignIn
from ci.config.settings import Config
from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.certificates import trusted
from ci.forge.webhook_payloads import Part

_TIMEOUT_S = 20.0
_LIMITED = 429


class _User(Part):
    """The account a token is of. Its login goes into addresses of the API: it is held to what forges allow in one."""

    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one forge."""

    authorize_url: str  # where browsers are sent
    token_url: str
    user_url: str
    scope: str | None  # what the token may be asked; None: nothing that is not public
    sign_in: SignIn
    timeout_s: float = _TIMEOUT_S

    def address(self, callback: str, state: str, verifier: str) -> str:
        """Where a browser asks the forge to vouch for its user; the forge sends it back to `callback` with `state`."""
        client = self._client()
        challenge = client.create_code_challenge(verifier, "S256")
        return str(
            client.prepare_request_uri(
                self.authorize_url,
                redirect_uri=callback,
                scope=self.scope,
                state=state,
                code_challenge=challenge,
                code_challenge_method="S256",
            )
        )

    async def login(self, callback: str, code: str, verifier: str) -> str:
        """Return the login of the account to which the forge has given `code`.

        Raises `ForgeRefusedError` where the code is not, or no longer, good, `ForgeUnavailableError` where the forge
        does not answer.
        """
        headers = {"Accept": "application/json", "User-Agent": "npu-kernel-farm"}
        try:
            async with httpx.AsyncClient(timeout=self.timeout_s, headers=headers, verify=trusted()) as client:
                token = await self._token(client, callback, code, verifier)
                answer = await client.get(self.user_url, headers={"Authorization": f"Bearer {token}"})
        except httpx.HTTPError as error:
            raise ForgeUnavailableError(f"sign-in: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise ForgeUnavailableError(
                f"sign-in: the forge does not say whose token it gave (HTTP {answer.status_code})"
            )
        try:
            return _User.model_validate_json(answer.content).login
        except ValidationError as error:
            raise ForgeUnavailableError("sign-in: the forge's account has no login that can be used") from error

    async def _token(self, client: httpx.AsyncClient, callback: str, code: str, verifier: str) -> str:
        oauth = self._client()
        secret = self.sign_in.client_secret.get_secret_value()
        body = oauth.prepare_request_body(code, callback, code_verifier=verifier, client_secret=secret)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(self.token_url, content=body, headers=form)
        if answer.status_code >= 500 or answer.status_code == _LIMITED:
            raise ForgeUnavailableError(f"sign-in: HTTP {answer.status_code}")
        try:
            return str(oauth.parse_request_body_response(answer.text)["access_token"])
        except OAuth2Error as error:  # GitHub says so with a 200
            raise ForgeRefusedError(answer.status_code, f"sign-in: {str(error.error)[:60]!a}") from None
        except (ValueError, AttributeError):  # not even an object; it may hold a token, so it is not repeated
            raise ForgeUnavailableError(f"sign-in: no answer of OAuth's (HTTP {answer.status_code})") from None

    def _client(self) -> WebApplicationClient:
        return WebApplicationClient(self.sign_in.client_id)


def open_accounts(config: Config) -> dict[str, Accounts]:
    """The accounts of every forge that people may sign in by, by the forge's name."""
    return {name: _accounts(forge, forge.sign_in) for name, forge in config.forge.items() if forge.sign_in is not None}


def _accounts(forge: ForgeSection, sign_in: SignIn) -> Accounts:
    """GitHub and Gitea have the same paths. Without a scope GitHub's token reads what is public, Gitea's everything."""
    return Accounts(
        authorize_url=f"{forge.web()}/login/oauth/authorize",
        token_url=f"{forge.web()}/login/oauth/access_token",
        user_url=f"{str(forge.api_url).rstrip('/')}/user",
        scope="read:user" if forge.kind == "gitea" else None,
        sign_in=sign_in,
    )
