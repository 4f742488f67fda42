"""What Gitee and GitCode have and other forges do not: a state that is a label, names that two repositories share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.api_v5 import GITCODE, GITEE, ApiV5Forge
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion, Issue, Permission, Trail
from ci.forge.state_labels import COLOURS
from tests.fakes.api_v5 import ApiV5
from tests.fakes.github_api import TOKEN
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
PASSED = CHECK.model_copy(update={"status": CheckStatus.COMPLETED, "conclusion": Conclusion.SUCCESS})

Answer = TypeVar("Answer")


@pytest.fixture(params=["gitee", "gitcode"])
def api(request: pytest.FixtureRequest) -> ApiV5:
    return ApiV5(request.param)


@pytest.fixture
def forge(api: ApiV5) -> Iterator[ApiV5Forge]:
    dialect = GITEE if api.kind == "gitee" else GITCODE
    with served(api.app()) as url:
        required = {REPOSITORY.upper(): "npu-kernel-farm"}
        yield ApiV5Forge(SecretStr(TOKEN), f"{url}/api/v5", required, dialect, timeout_s=2, page_size=3)
    assert api.problems == []


def ask(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(coroutine)


def test_a_pull_request_has_one_label_of_ours_beside_those_of_others(forge: ApiV5Forge, api: ApiV5) -> None:
    trail = FRESH
    for status, conclusion in [(CheckStatus.QUEUED, None), *((CheckStatus.COMPLETED, each) for each in Conclusion)]:
        check = CHECK.model_copy(update={"status": status, "conclusion": conclusion})
        trail = Trail(ask(forge.put_check(REPOSITORY, check, trail)), uncertain=False)

        [label] = [each for each in api.labels[3] if each != "reviewed"]
        assert "reviewed" in api.labels[3] and trail.remote_id == f"{label} 3"
        assert (label == "npu-farm-passed") is (conclusion is Conclusion.SUCCESS)
    assert api.known_labels == {"reviewed", *COLOURS}


@pytest.mark.parametrize("name", ["npu-kernel-farm (narrowed)", "npu-kernel-farm / models", "another"])
def test_a_check_that_is_not_the_required_one_gets_no_label(forge: ApiV5Forge, api: ApiV5, name: str) -> None:
    ask(forge.put_check(REPOSITORY, PASSED.model_copy(update={"name": name}), FRESH))
    ask(forge.put_check("octo-org/unknown", PASSED, FRESH))

    assert (api.labels, api.requests) == ({3: ["reviewed"]}, [])


def test_a_commit_that_is_no_head_any_more_labels_nothing(forge: ApiV5Forge, api: ApiV5) -> None:
    api.pulls = {3: pull(3, 4), 5: pull(5, 3, state="merged")}

    ask(forge.put_check(REPOSITORY, PASSED, FRESH))

    assert api.statuses == []


def test_a_pass_is_taken_back_where_commits_came_while_it_was_set(forge: ApiV5Forge, api: ApiV5) -> None:
    def moved(label: str) -> None:
        api.pulls[3] = pull(3, 4)

    api.labelled = moved
    ask(forge.put_check(REPOSITORY, PASSED, FRESH))

    assert api.labels == {3: ["reviewed"]}


def test_both_pull_requests_of_one_head_are_labelled(forge: ApiV5Forge, api: ApiV5) -> None:
    api.pulls = {number: pull(number, 3 if number in (2, 7) else number + 10) for number in range(1, 8)}

    assert ask(forge.put_check(REPOSITORY, PASSED, FRESH)) == "npu-farm-passed 2,7"

    assert api.statuses == [{"status": "success"}] * 2


def test_progress_costs_no_request(forge: ApiV5Forge, api: ApiV5) -> None:
    known = ask(forge.put_check(REPOSITORY, CHECK, FRESH))
    before = len(api.requests)
    running = CHECK.model_copy(update={"status": CheckStatus.IN_PROGRESS, "title": "12 of 27 trials"})

    assert ask(forge.put_check(REPOSITORY, running, Trail(known, uncertain=False))) == known
    assert len(api.requests) == before
    assert ask(forge.put_check(REPOSITORY, running, Trail(known, uncertain=True))) == known
    assert len(api.requests) > before


def test_a_fork_is_one_though_its_name_for_people_is_the_same(forge: ApiV5Forge, api: ApiV5) -> None:
    api.pulls = {3: pull(3, 3), 4: pull(4, 4, fork=True, draft=True)}
    api.pulls[5] = {**pull(5, 5), "head": {**pull(5, 5)["head"], "repo": None}}
    api.heads = {"main": sha(9)}

    own, fork, gone = (ask(forge.pull_request(REPOSITORY, number)) for number in (3, 4, 5))

    assert (own.state, own.head.sha, own.base.sha, own.draft) == ("open", sha(3), sha(9), False)
    assert own.head.repo == own.base.repo
    assert fork.head.repo is None and fork.draft and gone.head.repo is None


def test_a_closed_pull_request_is_closed_though_its_target_is_gone(forge: ApiV5Forge, api: ApiV5) -> None:
    api.pulls, api.heads = {3: pull(3, 3, state="merged"), 4: pull(4, 4)}, {}

    assert ask(forge.pull_request(REPOSITORY, 3)).state == "closed"
    with pytest.raises(ForgeRefusedError):
        ask(forge.pull_request(REPOSITORY, 4))


def test_a_branch_without_a_commit_is_asked_for_again(forge: ApiV5Forge, api: ApiV5) -> None:
    api.heads = {"main": None}  # type: ignore[dict-item]  # what an answer may hold

    with pytest.raises(ForgeUnavailableError, match="names no commit"):
        ask(forge.branch_head(REPOSITORY, "main"))


def test_a_word_that_is_no_known_permission_permits_nothing(forge: ApiV5Forge, api: ApiV5) -> None:
    api.permissions = {"dora": "custom role", "ned": "none"}

    found = [ask(forge.permission(REPOSITORY, login)) for login in ("dora", "ned", "stranger", "../../x")]

    assert found == [Permission.NONE] * 4


@pytest.mark.parametrize("line", ["/lgtm", "/approve", "/merge"])
def test_no_line_of_a_report_commands_a_robot(forge: ApiV5Forge, api: ApiV5, line: str) -> None:
    body = f"its log:\n{line}\nsay\n/farm run"
    ask(forge.put_comment(REPOSITORY, Comment(number=3, marker="<!-- ours -->", body=body), FRESH))
    ask(forge.put_issue(REPOSITORY, Issue(marker="<!-- ours -->", title="night", body=body), FRESH))

    for kept in (api.comments[1]["body"], api.issues[1]["body"]):
        assert [each for each in kept.splitlines() if each.startswith("/")] == ["/farm run"]
        assert line in kept
