"""`farm.toml` and the environment, as one checked value. `ci/farm.example.toml` shows and explains every key.

Everything is looked at before anything is said, so that one start tells all there is to mend. Secrets are named in the
file by where they are, never written there; their values are `SecretStr`, which no log and no repr shows.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ci.errors import ConfigError, Problem
from farm import paths
from kernel.errors import KernelLayerError
from kernel.registry import find_kernel, kernel_names, platform_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BODY_BYTES = 25 << 20  # GitHub sends nothing larger
_SHORTEST_SECRET = 16  # characters; a webhook secret is guessed offline by whoever has one delivery
_SHOWN_VALUE = 60  # characters

# What the environment overrides, because containers and the other commands of the farm already use it.
ENVIRONMENT = {
    "FARM_STORE": ("store", "url"),
    "FARM_HOST": ("server", "host"),
    "FARM_PORT": ("server", "port"),
    "FARM_PUBLIC_URL": ("server", "public_url"),
    "RAY_ADDRESS": ("cluster", "address"),
}


def _wrong(remedy: str) -> PydanticCustomError:
    return PydanticCustomError("farm", "{remedy}", {"remedy": remedy})


def _context(info: ValidationInfo) -> dict[str, Any]:
    """What `load` knows beside the value at hand."""
    assert info.context is not None, "farm.toml is read by `load` alone"
    known: dict[str, Any] = info.context
    return known


def _read_secret(value: object, info: ValidationInfo) -> SecretStr:
    """The secret behind `{ env = NAME }` or `{ file = PATH }`."""
    if not isinstance(value, dict) or len(value) != 1 or not isinstance(next(iter(value.values())), str):
        raise _wrong('say where it is: { env = "NAME" } or { file = "PATH" }; never write it here')
    [(kind, place)] = value.items()
    if kind == "env":
        secret = _context(info)["env"].get(place, "")
        missing = f"the environment variable {place} is not set"
    elif kind == "file":
        path = _context(info)["directory"] / Path(place).expanduser()
        try:
            secret, missing = path.read_text().strip(), f"the file {path} is empty"
        except (OSError, UnicodeDecodeError) as error:
            secret, missing = "", f"the file {path} cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        raise _wrong('say where it is: { env = "NAME" } or { file = "PATH" }')
    if not secret:
        raise _wrong(missing)
    return SecretStr(secret)


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise _wrong(f"too short; use {_SHORTEST_SECRET} characters or more, for example from `openssl rand -hex 32`")
    return secret


Secret = Annotated[SecretStr, BeforeValidator(_read_secret)]
WebhookSecret = Annotated[SecretStr, BeforeValidator(lambda value, info: _long_enough(_read_secret(value, info)))]
RepositoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]


class Section(BaseModel):
    """A table of `farm.toml`. Unknown keys are refused: most of them are misspelt ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Server(Section):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    public_url: HttpUrl  # how the forge and people reach the service; links in checks begin with it
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1024, le=MAX_BODY_BYTES)


class StoreSection(Section):
    """Where runs, deliveries and the queue are kept."""

    url: str = Field(default_factory=paths.store_url)


class Cluster(Section):
    """The Ray cluster with the devices."""

    address: str = ""  # empty: a Ray of this machine's own


class ForgeSection(Section):
    """One forge; GitHub as an App or with a token, Gitea and Forgejo with a token."""

    kind: Literal["github", "gitea"]
    api_url: HttpUrl = HttpUrl("https://api.github.com/")
    webhook_secrets: list[WebhookSecret] = Field(min_length=1)  # several while one replaces another
    app_id: int | None = Field(default=None, ge=1)
    private_key: Secret | None = None  # of the App, PEM
    token: Secret | None = None

    @model_validator(mode="after")
    def _has_one_credential(self) -> ForgeSection:
        app = self.app_id is not None or self.private_key is not None
        if self.kind == "gitea" and (app or self.token is None):
            raise _wrong("Gitea and Forgejo take a token: set `token`, and neither `app_id` nor `private_key`")
        if self.kind == "gitea" and "api_url" not in self.model_fields_set:
            raise _wrong('set `api_url`, for example "https://git.example.org/api/v1"')
        if app == (self.token is not None):
            raise _wrong("set either `app_id` and `private_key` of a GitHub App, or `token`")
        if app and (self.app_id is None or self.private_key is None):
            raise _wrong("a GitHub App needs both `app_id` and `private_key`")
        return self


class Repository(Section):
    """One repository whose pull requests are validated."""

    name: RepositoryName  # "owner/name"
    forge: str = "github"  # name of a [forge.NAME]
    kernel: str
    cases: list[str] = Field(default_factory=list)  # empty: the kernel's own
    platform: str = "a2a3sim"
    devices: int = Field(default=3, ge=1, le=1024)
    repeats: int = Field(default=3, ge=1, le=1000)
    check_name: str = Field(default="npu-kernel-farm", min_length=1, max_length=100)

    @field_validator("name")
    @classmethod
    def _is_named_once(cls, name: str, info: ValidationInfo) -> str:
        if _context(info)["names"][name.lower()] > 1:
            raise _wrong("configured more than once; keep one [[repository]]")
        return name

    @field_validator("forge")
    @classmethod
    def _forge_exists(cls, forge: str, info: ValidationInfo) -> str:
        known = _context(info)["forges"]
        if forge not in known:
            raise _wrong(f"no such forge; add [forge.{forge}] or use one of: {', '.join(known) or 'none yet'}")
        return forge

    @field_validator("kernel")
    @classmethod
    def _kernel_exists(cls, kernel: str) -> str:
        if kernel not in kernel_names():
            raise _wrong(f"no such kernel; installed are: {', '.join(kernel_names()) or 'none'}")
        return kernel

    @field_validator("cases")
    @classmethod
    def _cases_exist(cls, cases: list[str], info: ValidationInfo) -> list[str]:
        if not cases or "kernel" not in info.data:  # an unknown kernel is a problem of its own
            return cases
        try:
            known = list(find_kernel(info.data["kernel"]).cases)
        except KernelLayerError as error:
            raise _wrong(str(error)) from error
        unknown = [case for case in cases if case not in known]
        if unknown:
            raise _wrong(f"no case {', '.join(unknown)}; the kernel has: {', '.join(known)}")
        return cases

    @field_validator("platform")
    @classmethod
    def _platform_exists(cls, platform: str) -> str:
        if platform not in platform_names():
            raise _wrong(f"no such platform; installed are: {', '.join(platform_names())}")
        return platform


class Config(Section):
    """The whole of `farm.toml`."""

    server: Server
    store: StoreSection = Field(default_factory=StoreSection)
    cluster: Cluster = Field(default_factory=Cluster)
    forge: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$")], ForgeSection] = Field(min_length=1)
    repository: list[Repository] = Field(min_length=1)

    def find(self, forge: str, name: str) -> Repository | None:
        """The repository `name` of `forge`; forges compare names without regard to case."""
        wanted = (forge, name.lower())
        return next((each for each in self.repository if (each.forge, each.name.lower()) == wanted), None)


def load(path: Path, env: Mapping[str, str]) -> Config:
    """The configuration of `path`, overridden by `env`. Raises `ConfigError` with every problem there is."""
    document = _read(path)
    for variable, (section, key) in ENVIRONMENT.items():
        if env.get(variable):
            table = document.setdefault(section, {})
            if isinstance(table, dict):  # where it is none, that is a problem of its own
                table[key] = env[variable]
    forges = document.get("forge")
    repositories = document.get("repository")
    names = (
        [each.get("name") for each in repositories or [] if isinstance(each, dict)] if _is_list(repositories) else []
    )
    context = {
        "env": env,
        "directory": path.resolve().parent,
        "forges": sorted(forges) if isinstance(forges, dict) else [],
        "names": Counter(str(name).lower() for name in names),
    }
    try:
        return Config.model_validate(document, context=context)
    except ValidationError as error:
        # Without `from`: the original error holds the whole input.
        problems = [_problem(each, document) for each in error.errors(include_url=False)]
        raise ConfigError(str(path), problems) from None


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_bytes().decode())
        return document
    except OSError as error:
        problem = Problem("file", "", f"cannot be read: {error.strerror}; ci/farm.example.toml is one to begin with")
    except UnicodeDecodeError as error:
        problem = Problem("file", "", f"is not UTF-8 text: {error.reason} at byte {error.start}")
    except tomllib.TOMLDecodeError as error:
        problem = Problem("file", "", f"is not TOML: {error}")
    raise ConfigError(str(path), [problem])


def _problem(error: Any, document: dict[str, Any]) -> Problem:
    """One of pydantic's errors in our words."""
    where = ".".join(str(part) for part in error["loc"] if part != "[key]") or "file"
    if error["type"] == "extra_forbidden":  # its value is not shown: `tokn = "…"` is somebody's token
        return Problem(where, "", "unknown key; remove it or mend its spelling")
    if error["type"] == "missing":
        return Problem(where, "", "missing; set it")
    return Problem(where, _shown(error["loc"], document), error["msg"][:1].lower() + error["msg"][1:])


def _shown(location: tuple[int | str, ...], document: dict[str, Any]) -> str:
    """The offending value as it was written, "" for whole tables and whatever may be or hold a secret."""
    if location[:1] == ("forge",) or location[-1:] == ("url",):  # a store's URL holds a password
        return ""
    value: Any = document
    for part in location:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return ""
    if isinstance(value, dict):
        return ""
    text = repr(value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}…"
