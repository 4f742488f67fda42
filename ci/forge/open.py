"""Makes the forges of a configuration. One line in `_MAKERS` for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from githubkit import AppAuthStrategy, TokenAuthStrategy
from pydantic import SecretStr

from ci.config.forge import ForgeKind, ForgeSection
from ci.config.settings import Config
from ci.forge.api_v5 import GITCODE, GITEE, ApiV5Forge, Dialect
from ci.forge.gitea import GiteaForge
from ci.forge.github import GitHubForge
from ci.forge.gitlab import GitLabForge
from ci.forge.protocol import Forge


def open_forges(config: Config) -> dict[str, Forge]:
    """Every configured forge by its name. Nothing is asked of them yet."""
    return {name: _MAKERS[forge.kind](config, name) for name, forge in config.forge.items()}


def _github(config: Config, name: str) -> Forge:
    forge = config.forge[name]
    webhook_url = f"{str(config.server.public_url).rstrip('/')}/webhooks/{name}"
    if forge.token is not None:
        auth: AppAuthStrategy | TokenAuthStrategy = TokenAuthStrategy(forge.token.get_secret_value())
    else:
        assert forge.app_id is not None and forge.private_key is not None, "held by ForgeSection"
        auth = AppAuthStrategy(forge.app_id, forge.private_key.get_secret_value())
    return GitHubForge(auth, str(forge.api_url), webhook_url)


def _gitea(config: Config, name: str) -> Forge:
    forge = config.forge[name]
    return GiteaForge(_token(forge), str(forge.api_url))


def _gitlab(config: Config, name: str) -> Forge:
    forge = config.forge[name]
    return GitLabForge(_token(forge), str(forge.api_url))


def _gitee(config: Config, name: str) -> Forge:
    return _api_v5(config, name, GITEE)


def _gitcode(config: Config, name: str) -> Forge:
    return _api_v5(config, name, GITCODE)


def _api_v5(config: Config, name: str, dialect: Dialect) -> Forge:
    forge = config.forge[name]
    required = {each.name: each.check_name for each in config.repository if each.forge == name}
    return ApiV5Forge(_token(forge), str(forge.api_url), required, dialect)


def _token(forge: ForgeSection) -> SecretStr:
    assert forge.token is not None, "held by ForgeSection"
    return forge.token


_MAKERS: Mapping[ForgeKind, Callable[[Config, str], Forge]] = {
    "github": _github,
    "gitea": _gitea,
    "gitlab": _gitlab,
    "gitee": _gitee,
    "gitcode": _gitcode,
}
