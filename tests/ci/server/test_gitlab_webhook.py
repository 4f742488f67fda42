"""From a webhook of GitLab over HTTP to the queue, and to the status and the commands that follow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select

from ci.config.settings import Config
from ci.forge.gitlab import GitLabForge
from ci.outbox.sender import Sender
from ci.server.app import create_app
from ci.store.engine import open_database
from ci.store.tables import JOB
from ci.webhook.dispatcher import Dispatcher
from ci.webhook.inbox import Inbox
from farm.store.engine import transaction
from tests.ci.configuration import SECRET, written
from tests.fakes.github_api import TOKEN
from tests.fakes.gitlab_api import GitLabApi
from tests.fakes.pulls import pull, sha
from tests.fakes.served import served

pytestmark = pytest.mark.service

CONFIG = """
[server]
public_url = "https://farm.example.org"

[api]
public_read = true

[runner]
at_once = 0

[forge.lab]
kind = "gitlab"
api_url = "https://gitlab.example.org/api/v4"
token = { env = "TOKEN" }
webhook_secrets = [{ env = "SECRET" }]

[[repository]]
name = "octo-org/kernels"
forge = "lab"
kernel = "qkv_proj_rope"
"""
PROJECT = {"path_with_namespace": "octo-org/kernels", "default_branch": "main"}


@dataclass
class Lab:
    """A service and the GitLab that it serves."""

    url: str
    engine: Engine
    config: Config
    api: GitLabApi
    forge: GitLabForge
    sent: int = 0

    def deliver(self, event: str, told: dict[str, Any], token: str = SECRET) -> int:
        """Send one delivery; the status of the answer."""
        self.sent += 1
        headers = {"X-Gitlab-Event": event, "X-Gitlab-Event-UUID": f"event-{self.sent}", "X-Gitlab-Token": token}
        body = {"project": PROJECT, **told}
        return httpx.post(f"{self.url}/webhooks/lab", json=body, headers=headers, timeout=30).status_code

    def opens(self, number: int, action: str = "open") -> int:
        """GitLab reports a merge request."""
        found = self.api.pulls[number]
        attributes = {"iid": number, "action": action, "target_branch": "main", "oldrev": sha(2)}
        attributes |= {"source_project_id": 15, "target_project_id": 15, "last_commit": {"id": found["head"]["sha"]}}
        return self.deliver("Merge Request Hook", {"object_attributes": attributes})

    def settle(self) -> None:
        """Do all that follows of what was delivered."""
        asyncio.run(self._settle())

    async def _settle(self) -> None:
        forges = {"lab": self.forge}
        dispatcher, sender = Dispatcher(self.engine, self.config, forges), Sender(self.engine, forges)
        while await dispatcher.act_on_next():
            pass
        while await sender.send_due():
            pass

    def jobs(self) -> list[tuple[str, ...]]:
        with transaction(self.engine, "read") as connection:
            query = select(JOB.c.subject, JOB.c.head_sha, JOB.c.base_sha, JOB.c.state).order_by(JOB.c.sequence)
            return [tuple(str(value) for value in row) for row in connection.execute(query)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    config = written(tmp_path, CONFIG)
    engine, api = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print), GitLabApi()
    app = create_app(config, engine, Inbox(engine))
    with served(api.app()) as gitlab, served(app) as url:
        yield Lab(url, engine, config, api, GitLabForge(SecretStr(TOKEN), f"{gitlab}/api/v4", timeout_s=5))
    assert api.problems == []


def test_a_merge_request_is_queued_against_its_target_and_gets_a_status(lab: Lab) -> None:
    lab.api.pulls, lab.api.heads = {7: pull(7, 5)}, {"main": sha(9)}

    assert lab.opens(7) == 202
    lab.settle()

    assert lab.jobs() == [("pull/7", sha(5), sha(9), "queued")]
    [status] = lab.api.statuses
    assert (status["name"], status["status"], status["sha"]) == ("npu-kernel-farm", "pending", sha(5))
    job = status["target_url"].removeprefix("https://farm.example.org")
    page = httpx.get(f"{lab.url}{job}", timeout=30).text
    assert f'"https://gitlab.example.org/octo-org/kernels/-/commit/{sha(5)}"' in page
    assert '"https://gitlab.example.org/octo-org/kernels/-/merge_requests/7"' in page


def test_a_closed_merge_request_and_a_draft_leave_the_queue(lab: Lab) -> None:
    lab.api.pulls = {7: pull(7, 5), 8: pull(8, 6)}
    for number in (7, 8):
        lab.opens(number)
    lab.settle()

    lab.api.pulls[7]["state"], lab.api.pulls[8]["draft"] = "merged", True
    for number in (7, 8):
        lab.opens(number, "merge" if number == 7 else "update")
    lab.settle()

    assert "queued" not in [job[-1] for job in lab.jobs()]
    assert "success" not in [status["status"] for status in lab.api.statuses]


def test_only_members_who_may_write_command_the_farm(lab: Lab) -> None:
    lab.api.pulls, lab.api.permissions = {7: pull(7, 5)}, {"will": "write", "rita": "read"}
    note = {"id": 1, "note": "/farm run", "noteable_type": "MergeRequest", "action": "create"}
    for login in ("rita", "stranger", "will"):
        told = {"user": {"username": login}, "object_attributes": note, "merge_request": {"iid": 7}}
        assert lab.deliver("Note Hook", told) == 202
        lab.settle()
        assert len(lab.jobs()) == (1 if login == "will" else 0)


def test_a_delivery_without_the_token_is_not_kept(lab: Lab) -> None:
    lab.api.pulls = {7: pull(7, 5)}

    assert lab.deliver("Push Hook", {}, token="another token of a webhook") == 401
    assert lab.deliver("Pipeline Hook", {}) == 200  # nothing to do
    assert lab.deliver("Push Hook", {"project": {"path_with_namespace": "octo-org/other"}}) == 404
    lab.settle()

    assert lab.jobs() == []
    assert "another token" not in json.dumps(lab.api.requests)
