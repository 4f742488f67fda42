"""Makes the forges of a configuration. One line in `open_forges` for each kind."""

from __future__ import annotations

from githubkit import AppAuthStrategy, TokenAuthStrategy

from ci.config.forge import ForgeSection
from ci.config.settings import Config
from ci.forge.gitea import GiteaForge
from ci.forge.github import GitHubForge
from ci.forge.gitlab import GitLabForge
from ci.forge.protocol import Forge


def open_forges(config: Config) -> dict[str, Forge]:
    """Every configured forge by its name. Nothing is asked of them yet."""
    makers = {"github": _github, "gitea": _gitea, "gitlab": _gitlab}
    base = str(config.server.public_url).rstrip("/")
    return {name: makers[forge.kind](forge, f"{base}/webhooks/{name}") for name, forge in config.forge.items()}


def _github(forge: ForgeSection, webhook_url: str) -> Forge:
    if forge.token is not None:
        auth: AppAuthStrategy | TokenAuthStrategy = TokenAuthStrategy(forge.token.get_secret_value())
    else:
        assert forge.app_id is not None and forge.private_key is not None, "held by ForgeSection"
        auth = AppAuthStrategy(forge.app_id, forge.private_key.get_secret_value())
    return GitHubForge(auth, str(forge.api_url), webhook_url)


def _gitea(forge: ForgeSection, _webhook_url: str) -> Forge:
    assert forge.token is not None, "held by ForgeSection"
    return GiteaForge(forge.token, str(forge.api_url))


def _gitlab(forge: ForgeSection, _webhook_url: str) -> Forge:
    assert forge.token is not None, "held by ForgeSection"
    return GitLabForge(forge.token, str(forge.api_url))
