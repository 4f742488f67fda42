"""A [forge.NAME] of `farm.toml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator, model_validator

from ci.config.secrets import Secret, WebhookSecret, loading, wrong
from ci.config.section import RepositoryName, Section

INSECURE = "OAUTHLIB_INSECURE_TRANSPORT"  # what oauthlib wants to see before it speaks plain http

ForgeKind = Literal["github", "gitea", "gitlab", "gitee", "gitcode"]

_API_PATHS = {"gitea": "/api/v1", "gitlab": "/api/v4", "gitee": "/api/v5", "gitcode": "/api/v5"}
_NAMES = {"gitea": "Gitea and Forgejo", "gitlab": "projects of GitLab", "gitee": "Gitee", "gitcode": "GitCode"}
_EXAMPLES = {"gitee": "https://gitee.com/api/v5", "gitcode": "https://api.gitcode.com/api/v5"}
_WITHOUT_SIGN_IN = ("gitlab", "gitee", "gitcode")


class SignIn(Section):
    """Sign-in to the dashboard with an account of the forge."""

    client_id: str = Field(min_length=1, max_length=200)  # of the OAuth application, or of the GitHub App
    client_secret: Secret
    repository: RepositoryName  # what somebody may do there decides what they may do here
    least: Literal["read", "write"] = "write"  # who gets in at all; everybody may read a public repository


class ForgeSection(Section):
    """One forge; GitHub as an App or with a token, the others with a token."""

    kind: ForgeKind
    api_url: HttpUrl = HttpUrl("https://api.github.com/")
    webhook_secrets: list[WebhookSecret] = Field(min_length=1)  # several while one replaces another
    app_id: int | None = Field(default=None, ge=1)
    private_key: Secret | None = None  # of the App, PEM
    token: Secret | None = None
    sign_in: SignIn | None = None  # without it nobody signs in by this forge

    def secrets(self) -> list[SecretStr]:
        """Every secret that was read."""
        given = (self.private_key, self.token, self.sign_in.client_secret if self.sign_in else None)
        return [*self.webhook_secrets, *(each for each in given if each is not None)]

    def web(self) -> str:
        """Where people see it, without a slash at the end."""
        suffix = _API_PATHS.get(self.kind)
        if suffix is not None:
            web = str(self.api_url).rstrip("/").removesuffix(suffix)
            return web.replace("://api.", "://", 1) if self.kind == "gitcode" else web
        url = self.api_url  # "https://github.com" for api.github.com
        port = f":{url.port}" if url.port not in (None, 80, 443) else ""
        return f"{url.scheme}://{(url.host or '').removeprefix('api.')}{port}"

    @field_validator("sign_in")
    @classmethod
    def _signs_in_over_tls(cls, sign_in: SignIn | None, info: ValidationInfo) -> SignIn | None:
        url = info.data.get("api_url")
        relaxed = loading(info)["env"].get(INSECURE)
        if sign_in is not None and url is not None and url.scheme != "https" and not relaxed:
            raise wrong(
                f"signing in over plain http shows everybody on the way who signs in; use https, or set {INSECURE}"
            )
        return sign_in

    @model_validator(mode="after")
    def _has_one_credential(self) -> ForgeSection:
        app = self.app_id is not None or self.private_key is not None
        path = _API_PATHS.get(self.kind)
        if path is not None and (app or self.token is None):
            raise wrong(f"{_NAMES[self.kind]} take a token: set `token`, and neither `app_id` nor `private_key`")
        if path is not None and "api_url" not in self.model_fields_set:
            example = _EXAMPLES.get(self.kind, f"https://git.example.org{path}")
            raise wrong(f'set `api_url`, for example "{example}"')
        if self.kind in _WITHOUT_SIGN_IN and self.sign_in is not None:
            name = _NAMES[self.kind].rpartition(" ")[2]
            raise wrong(f"nobody can sign in with an account of {name}; remove `sign_in`, and use tokens of the API")
        if app == (self.token is not None):
            raise wrong("set either `app_id` and `private_key` of a GitHub App, or `token`")
        if app and (self.app_id is None or self.private_key is None):
            raise wrong("a GitHub App needs both `app_id` and `private_key`")
        return self
