"""A configuration for tests, loaded the way the service loads its own."""

from __future__ import annotations

from pathlib import Path

from ci.config.forge import INSECURE
from ci.config.settings import Config, load
from tests.fakes.oauth import CLIENT_ID, CLIENT_SECRET

SECRET = "It's a Secret to Everybody"
OLD_SECRET = "an older secret of the same hook"
ENVIRONMENT = {"SECRET": SECRET, "OLD_SECRET": OLD_SECRET, "TOKEN": "ghp_token_of_the_tests"}

TEXT = """
[server]
public_url = "https://farm.example.org"

[runner]
at_once = {at_once}

[forge.github]
kind = "github"
api_url = "{api_url}"
token = {{ env = "TOKEN" }}
webhook_secrets = [{{ env = "OLD_SECRET" }}, {{ env = "SECRET" }}]

[[repository]]
name = "Codertocat/Hello-World"
kernel = "qkv_proj_rope"

[[repository]]
name = "octo-org/kernels"
kernel = "qkv_proj_rope"
"""


def configuration(directory: Path, api_url: str = "https://api.github.com") -> Config:
    """A checked configuration of two repositories on one GitHub, by which nothing is executed."""
    return written(directory, TEXT.format(api_url=api_url, at_once=0))


def executing(directory: Path, api_url: str, git: str, at_once: int = 1) -> Config:
    """The same, by which jobs of `octo-org/kernels` are executed, with commits from `git`."""
    text = TEXT.format(api_url=api_url, at_once=at_once)
    return written(directory, f'{text}git = "{git}"\n')  # the last table is that repository's


SIGN_IN = f"""
[forge.github.sign_in]
client_id = "{CLIENT_ID}"
client_secret = {{ env = "OAUTH_SECRET" }}
repository = "octo-org/kernels"
"""


def signing_in(directory: Path, kind: str, url: str, more: str = "") -> Config:
    """The first one, where people sign in by the forge at `url`; `more` is added to its last table."""
    api_url = url if kind == "github" else f"{url}/api/v1"
    text = TEXT.format(api_url=api_url, at_once=0).replace('kind = "github"', f'kind = "{kind}"')
    path = directory / "farm.toml"
    path.write_text(f"{text}{SIGN_IN}{more}")
    return load(path, {**ENVIRONMENT, "OAUTH_SECRET": CLIENT_SECRET, INSECURE: "1"})


def written(directory: Path, text: str) -> Config:
    """`text` as the checked configuration in `directory`."""
    path = directory / "farm.toml"
    path.write_text(text)
    return load(path, ENVIRONMENT)
