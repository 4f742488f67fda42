"""What GitLab has and the other forges do not: states that cannot return, quick actions, levels of access, forks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.gitlab import GitLabForge
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion, Issue, Permission, Trail
from tests.fakes.github_api import TOKEN, Fault
from tests.fakes.gitlab_api import GitLabApi
from tests.fakes.pulls import pull, sha
from tests.fakes.served import served

pytestmark = pytest.mark.service

REPOSITORY = "octo-org/kernels"
FRESH = Trail("", uncertain=False)
CHECK = Check(
    name="npu-kernel-farm",
    head_sha=sha(3),
    external_id="job1",
    status=CheckStatus.QUEUED,
    title="Queued",
    details_url="https://farm.example.org/jobs/job1",
)
RUNNING = CHECK.model_copy(update={"status": CheckStatus.IN_PROGRESS, "title": "12 of 27 trials"})
FAILED = CHECK.model_copy(update={"status": CheckStatus.COMPLETED, "conclusion": Conclusion.FAILURE})


@pytest.fixture
def api() -> GitLabApi:
    return GitLabApi()


@pytest.fixture
def forge(api: GitLabApi) -> Iterator[GitLabForge]:
    with served(api.app()) as url:
        yield GitLabForge(SecretStr(TOKEN), f"{url}/api/v4", timeout_s=2)
    assert api.problems == []


def put(forge: GitLabForge, check: Check, trail: Trail = FRESH) -> str:
    return asyncio.run(forge.put_check(REPOSITORY, check, trail))


def states(api: GitLabApi) -> list[Any]:
    return [each["status"] for each in api.statuses]


def test_a_waiting_state_that_gitlab_refuses_leaves_the_one_that_is_there(forge: GitLabForge, api: GitLabApi) -> None:
    first = put(forge, RUNNING)
    for again in (RUNNING, CHECK):
        assert put(forge, again, Trail(first, uncertain=False)) == first

    assert states(api) == ["running"]


def test_a_rerun_takes_an_earlier_success_back(forge: GitLabForge, api: GitLabApi) -> None:
    passed = FAILED.model_copy(update={"conclusion": Conclusion.SUCCESS})
    first = put(forge, passed)
    put(forge, CHECK, Trail(first, uncertain=False))

    assert states(api) == ["success", "pending"]  # the newest counts


@pytest.mark.parametrize("status", [400, 404])
def test_a_verdict_that_gitlab_refuses_is_an_error(forge: GitLabForge, api: GitLabApi, status: int) -> None:
    put(forge, RUNNING)
    api.faults.append(Fault(status, method="POST"))

    with pytest.raises(ForgeRefusedError):
        put(forge, FAILED, Trail("1", uncertain=False))
    assert states(api) == ["running"]


def test_a_waiting_state_does_not_stand_in_for_a_verdict_of_before(forge: GitLabForge, api: GitLabApi) -> None:
    put(forge, FAILED)
    api.faults.append(Fault(400, method="POST"))

    with pytest.raises(ForgeRefusedError):
        put(forge, RUNNING, Trail("1", uncertain=False))


def test_an_update_at_the_same_moment_is_tried_again(forge: GitLabForge, api: GitLabApi) -> None:
    api.faults.append(Fault(409, method="POST"))

    with pytest.raises(ForgeUnavailableError):
        put(forge, CHECK)


def test_the_first_status_names_the_branch_of_the_merge_request(forge: GitLabForge, api: GitLabApi) -> None:
    api.pulls = {number: pull(number, number) for number in range(1, 6)}
    api.pulls[3]["head"]["ref"] = "feature/three"
    put(forge, CHECK)

    assert [each["ref"] for each in api.statuses] == ["feature/three"]


def test_a_status_joins_the_pipeline_that_a_commit_has(forge: GitLabForge, api: GitLabApi) -> None:
    api.pulls, api.has_pipeline = {3: pull(3, 3)}, True
    put(forge, CHECK)

    assert [each["ref"] for each in api.statuses] == [None]


def test_the_branch_of_a_fork_is_not_named_in_another_project(forge: GitLabForge, api: GitLabApi) -> None:
    api.pulls = {3: pull(3, 3, fork=True)}
    put(forge, CHECK)

    assert [each["ref"] for each in api.statuses] == [None]


def test_a_merge_request_is_held_to_the_newest_commit_of_its_target(forge: GitLabForge, api: GitLabApi) -> None:
    api.pulls, api.heads = {3: pull(3, 3), 4: pull(4, 4, fork=True, draft=True)}, {"main": sha(9)}

    own, fork = (asyncio.run(forge.pull_request(REPOSITORY, number)) for number in (3, 4))

    assert (own.state, own.head.sha, own.base.sha, own.base.ref, own.draft) == ("open", sha(3), sha(9), "main", False)
    assert own.head.repo == own.base.repo
    assert fork.head.repo is None and fork.draft


@pytest.mark.parametrize("state", ["closed", "merged"])
def test_a_closed_merge_request_is_closed_though_its_target_is_gone(
    forge: GitLabForge, api: GitLabApi, state: str
) -> None:
    api.pulls, api.heads = {3: pull(3, 3, state=state)}, {}

    assert asyncio.run(forge.pull_request(REPOSITORY, 3)).state == "closed"


def test_a_merge_request_that_is_not_prepared_is_asked_for_again(forge: GitLabForge, api: GitLabApi) -> None:
    api.pulls = {3: pull(3, 3)}
    api.pulls[3]["head"]["sha"] = None

    with pytest.raises(ForgeUnavailableError, match="not prepared"):
        asyncio.run(forge.pull_request(REPOSITORY, 3))
    assert asyncio.run(forge.open_pull_requests(REPOSITORY)) == []


def test_nobody_but_an_active_member_may_do_anything(forge: GitLabForge, api: GitLabApi) -> None:
    api.permissions = {"mia": "maintain", "bob": "admin"}
    api.blocked = {"bob"}

    found = [asyncio.run(forge.permission(REPOSITORY, login)) for login in ("mia", "bob", "stranger", "nobody")]

    assert found == [Permission.MAINTAIN, Permission.NONE, Permission.NONE, Permission.NONE]


@pytest.mark.parametrize("line", ["/merge", "/approve", "/close", "/label ~x"])
def test_no_line_of_a_report_commands_gitlab(forge: GitLabForge, api: GitLabApi, line: str) -> None:
    body = f"its log:\n{line}\nsay\n/farm run"
    asyncio.run(forge.put_comment(REPOSITORY, Comment(number=7, marker="<!-- ours -->", body=body), FRESH))
    asyncio.run(forge.put_issue(REPOSITORY, Issue(marker="<!-- ours -->", title="night", body=body), FRESH))

    for kept in (api.comments[1]["body"], api.issues[1]["body"]):
        assert [each for each in kept.splitlines() if each.startswith("/")] == ["/farm run"]
        assert line in kept
