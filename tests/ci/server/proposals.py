"""A whole service between a GitHub and a Gitea, and authors who open the same pull request at both of them.

Everything is as in `farm serve`, webhooks in, checks and statuses out, but for the runs: they are recorded.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from githubkit import TokenAuthStrategy
from githubkit.webhooks import sign
from pydantic import SecretStr
from sqlalchemy import select

from ci.config.settings import Config
from ci.forge.gitea import GiteaForge
from ci.forge.github import GitHubForge
from ci.forge.protocol import Forge
from ci.server.service import create_service
from ci.store.engine import open_database
from ci.store.states import DeliveryState, OutboxState
from ci.store.tables import DELIVERY, JOB, OUTBOX
from farm.model.run import Verdict
from farm.store import health_store
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, TEXT, written
from tests.fakes import recorded_runs
from tests.fakes.git_remote import GitRemote
from tests.fakes.gitea_api import GiteaApi
from tests.fakes.github_api import TOKEN, GitHubApi
from tests.fakes.pulls import pull
from tests.fakes.served import served
from tests.waiting import until

GITHUB, GITEA = "octo-org/kernels", "tea-org/kernels"
DEVICES = ("vm/0", "vm/1", "vm/2")
HOSTILE = "<script>alert(1)</script> @everyone ![x](https://evil.example) | `" + "x" * 200_000
_MORE = """git = "{git}"

[forge.gitea]
kind = "gitea"
api_url = "{gitea}/api/v1"
token = {{ env = "TOKEN" }}
webhook_secrets = [{{ env = "SECRET" }}]

[[repository]]
name = "tea-org/kernels"
forge = "gitea"
kernel = "qkv_proj_rope"
git = "{git}"
"""
_OPEN = ("queued", "running", "cancelling")


@functools.cache
def _empty_store() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.sqlite"
        open_database(f"sqlite:///{path}", print).dispose()
        return path.read_bytes()


# What the runs of a commit find, in words that the table's rows name.
_FOUND: Mapping[str, Mapping[str, Any]] = {
    "passed": {"verdict": Verdict.PASSED, "reason": "all gates passed"},
    "failed": {"verdict": Verdict.FAILED, "reason": "tolerance: q differs on every device"},
    "errored": {"verdict": Verdict.ERRORED, "reason": "3 of 9 trials were not measured"},
    "hostile": {"verdict": Verdict.FAILED, "reason": HOSTILE},
}


class Farm:
    """The service and the two forges. Use `serving`."""

    def __init__(self, directory: Path, github: GitHubApi, gitea: GiteaApi, urls: tuple[str, str]) -> None:
        self.github, self.gitea = github, gitea
        github.permissions = gitea.permissions = {"will": "write", "somebody": "read"}
        self.remote = GitRemote(directory / "remote.git")
        text = TEXT.format(api_url=urls[0], at_once=4) + _MORE.format(git=self.remote.url, gitea=urls[1])
        self.config: Config = written(directory, text)
        (directory / "store.sqlite").write_bytes(_empty_store())
        store = self.config.store.model_copy(update={"url": f"sqlite:///{directory / 'store.sqlite'}"})
        runner = self.config.runner.model_copy(update={"fetch_bytes": 1 << 20})
        self.config = self.config.model_copy(update={"store": store, "runner": runner})
        self.engine = open_database(store.url, print)
        health_store.see(
            self.engine, "a2a3sim", [{"id": each, "node": "vm", "soc": "", "card": ""} for each in DEVICES]
        )
        forges: dict[str, Forge] = {
            "github": GitHubForge(TokenAuthStrategy(TOKEN), urls[0], "https://x.example", timeout_s=10),
            "gitea": GiteaForge(SecretStr(TOKEN), f"{urls[1]}/api/v1", timeout_s=10),
        }
        farm = recorded_runs.farm(recorded_runs.record(directory / "evidence", _FOUND))
        self.app = create_service(self.config, self.engine, forges, farm)
        self.client = httpx.Client(timeout=60)
        self._number = 0

    def announces(self, event: str, payload: dict[str, Any]) -> None:
        """Have both forges deliver an event, and wait until all that follows from it is done."""
        for forge, name in (("github", GITHUB), ("gitea", GITEA)):
            given = {**payload, "repository": {"full_name": name, "default_branch": "main"}}
            assert self.delivers(forge, event, given).status_code in (200, 202)
        until(self._is_idle, what="the service's work")

    def delivers(
        self,
        forge: str,
        event: str,
        payload: dict[str, Any],
        *,
        delivery: str = "",
        secret: str = ENVIRONMENT["SECRET"],
    ) -> httpx.Response:
        """One delivery, signed with `secret`."""
        body = json.dumps(payload)
        headers = {"content-type": "application/json", "x-github-event": event}
        headers |= {"x-github-delivery": delivery or f"d-{self.next_number()}"}
        headers |= {"x-hub-signature-256": sign(secret, body, method="sha256")}
        return self.client.post(f"/webhooks/{forge}", content=body, headers=headers)

    def next_number(self) -> int:
        """A number that nothing else has: of a pull request, a comment, a delivery."""
        self._number += 1
        return self._number

    def _is_idle(self) -> bool:
        with transaction(self.engine, "read") as connection:
            waiting = select(DELIVERY.c.sequence).where(DELIVERY.c.state == DeliveryState.RECEIVED.value)
            pending = select(OUTBOX.c.sequence).where(OUTBOX.c.state == OutboxState.PENDING.value)
            working = select(JOB.c.sequence).where(JOB.c.state.in_(_OPEN))
            return not any(connection.execute(query.limit(1)).first() for query in (waiting, working, pending))

    def healthy(self) -> list[str]:
        """The devices that jobs may use."""
        return [device for device, health in health_store.health(self.engine, "a2a3sim").items() if health.usable]


@contextmanager
def serving(directory: Path) -> Iterator[Farm]:
    """A service between two forges; what it sends must be what they document."""
    github, gitea = GitHubApi(), GiteaApi()
    with served(github.app()) as github_url, served(gitea.app()) as gitea_url:
        farm = Farm(directory, github, gitea, (github_url, gitea_url))
        with served(farm.app) as url, farm.client:
            farm.client.base_url = httpx.URL(url)
            yield farm
        farm.engine.dispose()
    assert github.problems == [] and gitea.problems == []


@pytest.fixture(scope="module")
def farm_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The service's directory; jobs that are put back are begun again at once."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_HOME", str(home))
        patch.setattr("ci.runner.runner.delay_s", lambda attempts, after, chance: 0.0)
        yield home


@pytest.fixture(scope="module")
def farm(farm_home: Path) -> Iterator[Farm]:
    """One service for all tests of a module: what an author does must not keep it from judging the next one."""
    with serving(farm_home) as running:
        yield running


class Author:
    """Somebody with one pull request, the same at both forges."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.number = farm.next_number()
        self.head = ""

    @property
    def ref(self) -> str:
        """Where the remote keeps the pull request's commit."""
        return f"refs/pull/{self.number}/head"

    def commit(self, files: dict[str, str], *parents: str) -> str:
        """A commit of the pull request with `files` changed, which no other pull request has."""
        parents = parents or (self.farm.remote.main,)
        return self.farm.remote.commit({**files, f"docs/{self.farm.next_number()}.md": "x"}, *parents, ref=self.ref)

    def plants(self, entries: dict[str, tuple[str, str]]) -> None:
        """Propose a commit of exactly `entries` (path → mode and object)."""
        remote = self.farm.remote
        mine = {f"docs/{self.number}.md": ("100644", remote.blob("x"))}
        self.proposes(remote.plant({**mine, **entries}, remote.main, ref=self.ref))

    def changes(self, files: dict[str, str], action: str = "opened", **payload: Any) -> None:
        """Propose a commit of `files` on top of the default branch."""
        self.proposes(self.commit(files), action, **payload)

    def proposes(self, sha: str, action: str = "opened", **payload: Any) -> None:
        """Open or change the pull request at both forges; `fork`, `draft` and `state` are as in `pull`."""
        known = {key: payload.pop(key) for key in ("fork", "draft", "state") if key in payload}
        changes = payload.pop("changes", {})
        found = {**pull(self.number, 0, **known), **payload}
        found["head"] = {**found["head"], "sha": sha}
        found["base"] = {**found["base"], "sha": self.farm.remote.main}
        self.head = sha
        self.farm.github.pulls[self.number] = self.farm.gitea.pulls[self.number] = found
        self.farm.announces("pull_request", {"action": action, "pull_request": found, "changes": changes})

    def says(self, text: str, login: str = "will", *, action: str = "created", kind: str = "User") -> None:
        """Comment on the pull request at both forges, as `login`."""
        comment = {"id": self.farm.next_number(), "body": text, "user": {"login": login, "type": kind}}
        issue = {"number": self.number, "pull_request": {}}
        self.farm.announces("issue_comment", {"action": action, "comment": comment, "issue": issue})

    def is_approved(self) -> None:
        """Somebody with write access approves the commit that is proposed, which waits for that."""
        assert self.check() == "queued" and not self.mergeable()
        self.says(f"/farm approve {self.head}")

    def jobs(self, *columns: str, forge: str = "github") -> list[tuple[Any, ...]]:
        """The pull request's jobs at one forge, oldest first."""
        mine = (JOB.c.forge == forge, JOB.c.subject == f"pull/{self.number}")
        query = select(*(JOB.c[name] for name in columns)).where(*mine).order_by(JOB.c.sequence)
        with transaction(self.farm.engine, "read") as connection:
            return [tuple(row) for row in connection.execute(query)]

    def check(self, name: str = "npu-kernel-farm") -> str:
        """What GitHub shows of the newest check of the commit: its conclusion, or how far it is."""
        found = [each for each in self._checks() if each["name"] == name]
        return str(found[-1]["conclusion"] or found[-1]["status"]) if found else "none"

    def status(self, name: str = "npu-kernel-farm") -> str:
        """What Gitea shows: the newest status of that context."""
        mine = [each for each in self.farm.gitea.statuses if (each["sha"], each["context"]) == (self.head, name)]
        return str(mine[-1]["status"]) if mine else "none"

    def mergeable(self) -> bool:
        """Whether either forge lets the commit be merged."""
        return self.farm.github.mergeable(self.head) or self.farm.gitea.mergeable(self.head)

    def output(self) -> str:
        """All text of the commit's newest check run."""
        return json.dumps(self._checks()[-1]["output"], ensure_ascii=False) if self._checks() else ""

    def replies(self) -> list[str]:
        """Comments on the pull request at GitHub."""
        return [str(each["body"]) for each in self.farm.github.comments.values() if each["number"] == self.number]

    def _checks(self) -> list[dict[str, Any]]:
        return [each for each in self.farm.github.checks.values() if each["head_sha"] == self.head]
