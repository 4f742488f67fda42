"""The secrets that `farm.toml` names: read from where they are, checked, and wrapped so that nothing shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

_SHORTEST_SECRET = 16  # characters; anybody who has one delivery can guess a webhook secret offline


def wrong(remedy: str) -> PydanticCustomError:
    """A problem with one value, in our words."""
    return PydanticCustomError("farm", "{remedy}", {"remedy": remedy})


def loading(info: ValidationInfo) -> dict[str, Any]:
    """What `load` knows beside the value at hand."""
    assert info.context is not None, "farm.toml is read by `load` alone"
    found: dict[str, Any] = info.context
    return found


def _read_secret(value: object, info: ValidationInfo) -> SecretStr:
    """The secret behind `{ env = NAME }` or `{ file = PATH }`."""
    if not isinstance(value, dict) or len(value) != 1 or not isinstance(next(iter(value.values())), str):
        raise wrong('say where it is: { env = "NAME" } or { file = "PATH" }; never write it here')
    [(kind, place)] = value.items()
    if kind == "env":
        secret = loading(info)["env"].get(place, "")
        missing = f"the environment variable {place} is not set"
    elif kind == "file":
        path = loading(info)["directory"] / Path(place).expanduser()
        try:
            secret, missing = path.read_text().strip(), f"the file {path} is empty"
        except (OSError, UnicodeDecodeError) as error:
            secret, missing = "", f"the file {path} cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        raise wrong('say where it is: { env = "NAME" } or { file = "PATH" }')
    if not secret:
        raise wrong(missing)
    return SecretStr(secret)


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise wrong(f"too short; use {_SHORTEST_SECRET} characters or more, for example from `openssl rand -hex 32`")
    return secret


Secret = Annotated[SecretStr, BeforeValidator(_read_secret)]
WebhookSecret = Annotated[SecretStr, BeforeValidator(lambda value, info: _long_enough(_read_secret(value, info)))]
