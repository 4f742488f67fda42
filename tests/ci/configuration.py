"""A configuration for tests, loaded the way the service loads its own."""

from __future__ import annotations

from pathlib import Path

from ci.config import Config, load

SECRET = "It's a Secret to Everybody"
OLD_SECRET = "an older secret of the same hook"
ENVIRONMENT = {"SECRET": SECRET, "OLD_SECRET": OLD_SECRET, "TOKEN": "ghp_token_of_the_tests"}

TEXT = """
[server]
public_url = "https://farm.example.org"

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
    """A checked configuration of two repositories on one GitHub."""
    path = directory / "farm.toml"
    path.write_text(TEXT.format(api_url=api_url))
    return load(path, ENVIRONMENT)
