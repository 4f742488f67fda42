"""A [[notify]] of `farm.toml`: which events go where. Without one nothing is sent; no event is chosen by default."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from ci.config.secrets import Secret, WebhookSecret, loading, wrong
from ci.config.section import RepositoryName, Section
from ci.store.states import Event
from farm.process.extras import EXTRA_OF, MissingExtraError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SIGNING = ("feishu", "dingtalk")  # chats that check a signature
# Whose message format a public address takes; a wrong one is refused by the chat, or shown without its text.
_HOSTS = {
    "hooks.slack.com": "slack",
    "open.feishu.cn": "feishu",
    "open.larksuite.com": "feishu",
    "oapi.dingtalk.com": "dingtalk",
    "qyapi.weixin.qq.com": "wecom",
}

Address = Annotated[str, Field(pattern=r"^[^@\s<>,;\"]{1,64}@[A-Za-z0-9.-]{1,253}$")]


class _Notify(Section):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    events: list[Event] = Field(min_length=1)
    repositories: list[RepositoryName] = Field(default_factory=list)  # empty: all

    @field_validator("name")
    @classmethod
    def _is_named_once(cls, name: str, info: ValidationInfo) -> str:
        if loading(info)["channels"][name] > 1:
            raise wrong("another [[notify]] has this name; give each its own")
        return name

    def wants(self, event: Event, repository: str) -> bool:
        """Return whether it is to be sent; repositories are compared without regard to case."""
        mine = not self.repositories or repository.lower() in [each.lower() for each in self.repositories]
        return mine and event in self.events

    def secrets(self) -> list[SecretStr]:
        """What nobody may see."""
        return [value for value in vars(self).values() if isinstance(value, SecretStr)]


def _safe(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        scheme, host = parts.scheme, parts.hostname or ""
    except ValueError:
        scheme, host = "", ""
    if not host or not (scheme == "https" or (scheme == "http" and host in _LOOPBACK)):
        raise wrong("not an https:// address; http:// is for this machine only")
    return url


class WebhookNotify(_Notify):
    """JSON to an address of yours, signed."""

    kind: Literal["webhook"]
    url: Secret
    secret: WebhookSecret  # signs each body; the receiver knows it too

    @field_validator("url")
    @classmethod
    def _url_is_safe(cls, url: SecretStr) -> SecretStr:
        return _safe(url)


class ChatNotify(_Notify):
    """A message by a chat's incoming webhook. Its address is its password; some chats sign as well."""

    kind: Literal["chat"]
    url: Secret
    style: Literal["slack", "discord", "feishu", "dingtalk", "wecom"] = "slack"  # Mattermost as Slack, Lark as Feishu
    secret: Secret | None = None  # that the robot's security settings show where signatures are on

    @field_validator("url")
    @classmethod
    def _url_is_safe(cls, url: SecretStr) -> SecretStr:
        return _safe(url)

    @model_validator(mode="after")
    def _fits_the_chat(self) -> ChatNotify:
        if self.secret is not None and self.style not in _SIGNING:
            raise wrong(f"{self.style} checks no signature; remove `secret`, or set style = {' or '.join(_SIGNING)}")
        host = urlsplit(self.url.get_secret_value()).hostname or ""
        right = _HOSTS.get(host, self.style)
        if right != self.style:
            raise wrong(f'the address is one of {right}; set style = "{right}"')
        return self


class EmailNotify(_Notify):
    """A message by SMTP."""

    kind: Literal["email"]
    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: Secret | None = None
    sender: Address
    to: list[Address] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _signs_in_safely(self) -> EmailNotify:
        if bool(self.username) != (self.password is not None):
            raise wrong("set both `username` and `password`, or neither")
        if self.security == "none" and self.password is not None and self.host not in _LOOPBACK:
            raise wrong("the password would cross the network readably; use security = starttls or tls")
        return self


class AppriseNotify(_Notify):
    """A message by Apprise, for services beside those above. Its address has the password in it."""

    kind: Literal["apprise"]
    url: Secret  # for example "tgram://BOT_TOKEN/CHAT"

    @field_validator("url")
    @classmethod
    def _can_be_sent(cls, url: SecretStr) -> SecretStr:
        if importlib.util.find_spec("apprise") is None:
            raise wrong(str(MissingExtraError("apprise", EXTRA_OF["apprise"])))
        if "://" not in url.get_secret_value():
            raise wrong('not an address of Apprise, which begins with a service, for example "tgram://"')
        return url


Notify = Annotated[WebhookNotify | ChatNotify | EmailNotify | AppriseNotify, Field(discriminator="kind")]
