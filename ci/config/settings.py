"""`farm.toml` and the environment, as one checked value. `ci/farm.example.toml` shows and explains every key.

Everything is checked before anything is reported, so that one start reports every problem. The file names where secrets
are and never contains them; their values are `SecretStr`, which no log and no repr shows.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ci.config.forge import ForgeSection
from ci.config.notify import Notify
from ci.config.repository import RepositorySection
from ci.config.schedule import Schedule
from ci.config.secrets import WebhookSecret, loading, wrong
from ci.config.section import Section
from ci.config.target import kernel_of
from ci.errors import ConfigError, ConfigProblem
from farm import paths

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BODY_BYTES = 25 << 20  # GitHub sends nothing larger
_SHOWN_VALUE = 60  # characters

# What the environment overrides, because containers and the other commands of the farm already use it.
ENVIRONMENT = {
    "FARM_STORE": ("store", "url"),
    "FARM_HOST": ("server", "host"),
    "FARM_PORT": ("server", "port"),
    "FARM_PUBLIC_URL": ("server", "public_url"),
    "RAY_ADDRESS": ("cluster", "address"),
}


class ServerSection(Section):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    public_url: HttpUrl  # how the forge and people reach the service; links in checks begin with it
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1024, le=MAX_BODY_BYTES)
    max_connections: int = Field(default=256, ge=8, le=65535)  # one more connection gets status 503
    max_connections_per_peer: int = Field(default=64, ge=1, le=65535)  # the same, for one address
    proxies: list[str] = Field(default_factory=lambda: ["127.0.0.1", "::1"])  # addresses that are not held to that
    header_s: float = Field(default=10, gt=0, le=600)  # in which a request's header has to be complete
    body_s: float = Field(default=60, gt=0, le=3600)  # and its body
    drain_s: int = Field(default=20, ge=0, le=3600)  # what requests under way are given to end in at shut-down


class Api(Section):
    """Who may read what the service knows."""

    public_read: bool = False  # reading needs no token


class Web(Section):
    """The dashboard."""

    session_key: WebhookSecret | None = None  # signs sessions; without it a key is made in $FARM_HOME
    sweeps: Path = Path("farm-sweeps")  # where `farm sweep --out` puts them, relative to the service's directory


class StoreSection(Section):
    """Where runs, deliveries and the queue are kept."""

    url: str = Field(default_factory=paths.store_url)


class Cluster(Section):
    """The Ray cluster with the devices."""

    address: str = ""  # empty: a Ray of this machine's own


class RunnerSection(Section):
    """How jobs are executed."""

    at_once: int = Field(default=1, ge=0, le=64)  # jobs; 0: this service executes none
    wait_s: float = Field(default=3600, ge=0)  # for devices that others hold
    limit_s: float = Field(default=28800, gt=0)  # for a whole job, waiting included
    fetch_s: float = Field(default=600, gt=0)
    fetch_bytes: int = Field(default=1 << 30, ge=1 << 20)  # of one fetch
    alarm_after: int = Field(default=3, ge=1, le=1000)  # jobs in a row that ended errored


class Config(Section):
    """The whole of `farm.toml`."""

    server: ServerSection
    api: Api = Field(default_factory=Api)
    web: Web = Field(default_factory=Web)
    store: StoreSection = Field(default_factory=StoreSection)
    cluster: Cluster = Field(default_factory=Cluster)
    runner: RunnerSection = Field(default_factory=RunnerSection)
    forge: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$")], ForgeSection] = Field(min_length=1)
    repository: list[RepositorySection] = Field(min_length=1)
    schedule: list[Schedule] = Field(default_factory=list)
    notify: list[Notify] = Field(default_factory=list)

    @field_validator("forge")
    @classmethod
    def _signs_in_by_its_own_repositories(
        cls, forges: dict[str, ForgeSection], info: ValidationInfo
    ) -> dict[str, ForgeSection]:
        known = loading(info)["kernels"]
        asked = {name: forge.sign_in.repository for name, forge in forges.items() if forge.sign_in is not None}
        strange = [name for name, repository in asked.items() if (name, repository.lower()) not in known]
        if strange:
            told = "; ".join(f"{name}.sign_in.repository {asked[name]} is no [[repository]] of it" for name in strange)
            raise wrong(f"{told}: take one that is, or add it")
        return forges

    @model_validator(mode="after")
    def _gives_sweeps_their_time(self) -> Config:
        for schedule in self.schedule:
            if schedule.kind == "sweep" and schedule.budget_minutes * 60 >= self.runner.limit_s:
                told = f"[[schedule]] {schedule.name} has budget_minutes {schedule.budget_minutes:g}"
                raise wrong(f"{told}, but [runner] limit_s ends a job after {self.runner.limit_s:g} s; raise that")
        return self

    @model_validator(mode="after")
    def _schedules_what_there_is(self) -> Config:
        for schedule in self.schedule:
            found = self.find(schedule.forge, schedule.repository)
            assert found is not None, "held by Schedule"
            names = [each.name for each in found.judged_by()]
            if schedule.kind == "sweep":
                try:
                    kernel_of(found.judged_by(), schedule.target)
                except LookupError as error:
                    raise wrong(
                        f"[[schedule]] {schedule.name} sweeps one kernel, and {found.name} has {error}"
                    ) from error
            elif schedule.target and schedule.target not in names:
                said = f"[[schedule]] {schedule.name} has the unknown target {schedule.target}"
                raise wrong(f"{said}; {found.name} has: {', '.join(names)}")
        return self

    def find(self, forge: str, name: str) -> RepositorySection | None:
        """The repository `name` of `forge`; forges compare names without regard to case."""
        wanted = (forge, name.lower())
        return next((each for each in self.repository if (each.forge, each.name.lower()) == wanted), None)

    def git_url(self, repository: RepositorySection) -> str:
        """Where the commits of `repository` are fetched."""
        return repository.git or f"{self.forge[repository.forge].web()}/{repository.name}.git"

    def secrets(self) -> list[SecretStr]:
        """Every secret that was read."""
        found = [secret for channel in self.notify for secret in channel.secrets()]
        if self.web.session_key is not None:
            found.append(self.web.session_key)
        for forge in self.forge.values():
            found += forge.secrets()
        return found


def load(path: Path, env: Mapping[str, str]) -> Config:
    """The configuration of `path`, overridden by `env`. Raises `ConfigError` with every problem there is."""
    document = _read(path)
    for variable, (section, key) in ENVIRONMENT.items():
        if env.get(variable):
            table = document.setdefault(section, {})
            if isinstance(table, dict):  # where it is none, that is a problem of its own
                table[key] = env[variable]
    forges = document.get("forge")
    names = [each.get("name") for each in _tables(document, "repository")]
    context = {
        "env": env,
        "directory": path.resolve().parent,
        "forges": sorted(forges) if isinstance(forges, dict) else [],
        "names": Counter(str(name).lower() for name in names),
        "kernels": _kernels(document),
        "schedules": Counter(str(each.get("name")) for each in _tables(document, "schedule")),
        "channels": Counter(str(each.get("name")) for each in _tables(document, "notify")),
    }
    try:
        return Config.model_validate(document, context=context)
    except ValidationError as error:
        # Without `from`: the original error holds the whole input.
        problems = [_problem(each, document) for each in error.errors(include_url=False)]
        raise ConfigError(str(path), problems) from None


def store_url(path: Path, env: Mapping[str, str]) -> str:
    """The store that a service of `path` uses, for commands that need nothing else of it; the file may be missing.

    Raises `ConfigError` where the file is none that can be read.
    """
    if env.get("FARM_STORE"):
        return env["FARM_STORE"]
    if not path.exists():
        return paths.store_url()
    store = _read(path).get("store")
    url = store.get("url", paths.store_url()) if isinstance(store, dict) else paths.store_url()
    if not isinstance(url, str):
        raise ConfigError(str(path), [ConfigProblem("store.url", "", "not text; write a SQLAlchemy URL in quotes")])
    return url


def _tables(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Every [[name]] of the file that is a table at all."""
    found = document.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _kernels(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The kernel of each repository that has one and no targets, else "", by forge and name in lower case."""
    return {
        (str(each.get("forge", "github")), str(each.get("name")).lower()): str(each.get("kernel", ""))
        for each in _tables(document, "repository")
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_bytes().decode())
        return document
    except OSError as error:
        problem = ConfigProblem(
            "file", "", f"cannot be read: {error.strerror}; ci/farm.example.toml is one to begin with"
        )
    except UnicodeDecodeError as error:
        problem = ConfigProblem("file", "", f"is not UTF-8 text: {error.reason} at byte {error.start}")
    except tomllib.TOMLDecodeError as error:
        problem = ConfigProblem("file", "", f"is not TOML: {error}")
    raise ConfigError(str(path), [problem])


def _problem(error: Any, document: dict[str, Any]) -> ConfigProblem:
    """One of pydantic's errors in our words."""
    where = ".".join(str(part) for part in error["loc"] if part != "[key]") or "file"
    if error["type"] == "extra_forbidden":  # its value is not shown: `tokn = "…"` is somebody's token
        return ConfigProblem(where, "", "unknown key; remove it or mend its spelling")
    if error["type"] == "missing":
        return ConfigProblem(where, "", "missing; set it")
    return ConfigProblem(where, _shown(error["loc"], document), error["msg"][:1].lower() + error["msg"][1:])


def _shown(location: tuple[int | str, ...], document: dict[str, Any]) -> str:
    """The offending value as it was written, "" for whole tables and whatever may be or hold a secret."""
    if location[:1] in (("forge",), ("notify",)) or location[-1:] == ("url",):  # a store's URL holds a password
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
