"""What every forge must do, held over real HTTP; GitHub's side against GitHub's published API description."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from githubkit import AppAuthStrategy, TokenAuthStrategy
from pydantic import SecretStr

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.api_v5 import GITCODE, GITEE, ApiV5Forge
from ci.forge.gitea import GiteaForge
from ci.forge.github import GitHubForge
from ci.forge.gitlab import GitLabForge
from ci.forge.protocol import (
    Annotation,
    AnnotationLevel,
    Check,
    CheckStatus,
    Comment,
    Conclusion,
    Forge,
    Issue,
    Permission,
    Trail,
)
from ci.forge.traffic import ForgeFailure
from tests.fakes.api_v5 import ApiV5
from tests.fakes.gitea_api import GiteaApi
from tests.fakes.github_api import APP_ID, PAGE, TOKEN, Fault, GitHubApi
from tests.fakes.gitlab_api import GitLabApi
from tests.fakes.pulls import pull, sha
from tests.fakes.served import served

pytestmark = pytest.mark.service

REPOSITORY = "octo-org/kernels"
FRESH = Trail("", uncertain=False)
HOOK = "https://farm.example.org/webhooks/github"

Answer = TypeVar("Answer")


def ask(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(coroutine)


@dataclass
class Side:
    """A forge and the server behind it."""

    forge: Forge
    api: GitHubApi | GiteaApi | GitLabApi | ApiV5

    def said(self) -> list[str]:
        """What lets or does not let a merge through, for each check there is."""
        if isinstance(self.api, GitHubApi):
            return [check["conclusion"] or "pending" for check in self.api.checks.values()]
        return [status["status"] for status in self.api.statuses]


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


API_V5 = {"gitee": GITEE, "gitcode": GITCODE}


@pytest.fixture(params=["github-app", "github-token", "gitea", "gitlab", *API_V5])
def side(request: pytest.FixtureRequest, key: rsa.RSAPrivateKey) -> Iterator[Side]:
    api: GitHubApi | GiteaApi | GitLabApi | ApiV5
    if request.param == "gitea":
        api = GiteaApi()
        with served(api.app()) as url:
            yield Side(GiteaForge(SecretStr(TOKEN), f"{url}/api/v1", timeout_s=2), api)
    elif request.param == "gitlab":
        api = GitLabApi()
        with served(api.app()) as url:
            yield Side(GitLabForge(SecretStr(TOKEN), f"{url}/api/v4", timeout_s=2), api)
    elif request.param in API_V5:
        api, required = ApiV5(request.param), {REPOSITORY: "npu-kernel-farm"}
        with served(api.app()) as url:
            secret, dialect = SecretStr(TOKEN), API_V5[request.param]
            yield Side(ApiV5Forge(secret, f"{url}/api/v5", required, dialect, timeout_s=2, page_size=PAGE), api)
    else:
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        as_app = request.param == "github-app"
        api = GitHubApi(public if as_app else "")
        auth = AppAuthStrategy(APP_ID, private) if as_app else TokenAuthStrategy(TOKEN)
        with served(api.app()) as url:
            yield Side(GitHubForge(auth, url, HOOK, timeout_s=2), api)
    assert api.problems == []


def check(**changes: Any) -> Check:
    queued = Check(
        name="npu-kernel-farm",
        head_sha=sha(3),
        external_id="job1",
        status=CheckStatus.QUEUED,
        title="Queued",
        summary="Queued",
        details_url="https://farm.example.org/jobs/job1",
    )
    return queued.model_copy(update=changes)


def completed(conclusion: Conclusion, **changes: Any) -> Check:
    return check(status=CheckStatus.COMPLETED, conclusion=conclusion, title=f"It is {conclusion.value}", **changes)


def test_a_check_is_made_once_and_updated_to_its_conclusion(side: Side) -> None:
    first = ask(side.forge.put_check(REPOSITORY, check(), FRESH))
    assert side.said() == ["pending"]

    running = check(status=CheckStatus.IN_PROGRESS, title="12 of 27 trials")
    ask(side.forge.put_check(REPOSITORY, running, Trail(first, uncertain=False)))
    ask(side.forge.put_check(REPOSITORY, completed(Conclusion.SUCCESS), Trail(first, uncertain=False)))

    assert side.said()[-1] == "success"
    assert "success" not in side.said()[:-1]


@pytest.mark.parametrize("conclusion", [each for each in Conclusion if each is not Conclusion.SUCCESS])
def test_nothing_but_a_success_reads_as_one(side: Side, conclusion: Conclusion) -> None:
    ask(side.forge.put_check(REPOSITORY, completed(conclusion, offers_retry=True), FRESH))

    assert side.said() != ["success"]
    assert side.said() != ["warning"]  # Gitea merges with it


def test_a_check_that_arrived_though_its_answer_was_lost_is_not_made_twice(side: Side) -> None:
    side.api.faults.append(Fault(502, applied=True, method="POST"))
    with pytest.raises(ForgeUnavailableError):
        ask(side.forge.put_check(REPOSITORY, check(), FRESH))

    ask(side.forge.put_check(REPOSITORY, check(), Trail("", uncertain=True)))

    assert side.said() == ["pending"]


def test_a_comment_is_made_once_and_updated_in_place(side: Side) -> None:
    for number in range(5):  # so many that ours is not on the first page
        side.api.add_comment(7, "somebody", f"words {number}")
    side.api.faults.append(Fault(502, applied=True, method="POST"))
    comment = Comment(number=7, marker="<!-- ours -->", body="first")
    with pytest.raises(ForgeUnavailableError):
        ask(side.forge.put_comment(REPOSITORY, comment, FRESH))

    known = ask(side.forge.put_comment(REPOSITORY, comment, Trail("", uncertain=True)))
    second = comment.model_copy(update={"body": "second"})
    ask(side.forge.put_comment(REPOSITORY, second, Trail(known, uncertain=False)))

    ours = [each["body"] for each in side.api.comments.values() if each["user"]["login"] == side.api.login]
    assert ours == ["<!-- ours -->\nsecond"]


def test_somebody_elses_comment_with_our_marker_is_left_alone(side: Side) -> None:
    side.api.add_comment(7, "somebody", "<!-- ours -->\ntheirs")

    comment = Comment(number=7, marker="<!-- ours -->", body="ours")
    ask(side.forge.put_comment(REPOSITORY, comment, Trail("", uncertain=True)))

    assert [each["body"] for each in side.api.comments.values()] == ["<!-- ours -->\ntheirs", "<!-- ours -->\nours"]


NIGHT = Issue(marker="<!-- ours night -->", title="Night 1 failed", body="npu-3 disagrees")


def test_an_issue_is_made_once_updated_closed_and_opened_again(side: Side) -> None:
    for number in range(5):  # so many that ours is not on the first page
        side.api.add_issue("somebody", f"issue {number}", "words")
    side.api.faults.append(Fault(502, applied=True, method="POST"))
    with pytest.raises(ForgeUnavailableError):
        ask(side.forge.put_issue(REPOSITORY, NIGHT, FRESH))

    known = ask(side.forge.put_issue(REPOSITORY, NIGHT, Trail("", uncertain=True)))
    ours = [each for each in side.api.issues.values() if each["user"]["login"] == side.api.login]
    assert [(each["title"], each["body"], each["state"]) for each in ours] == [
        ("Night 1 failed", "<!-- ours night -->\nnpu-3 disagrees", "open")
    ]

    better = NIGHT.model_copy(update={"title": "Night 2 passed", "is_open": False})
    ask(side.forge.put_issue(REPOSITORY, better, Trail(known, uncertain=False)))
    assert (ours[0]["title"], ours[0]["state"]) == ("Night 2 passed", "closed")

    assert ask(side.forge.put_issue(REPOSITORY, NIGHT, Trail(known, uncertain=True))) == known
    assert (ours[0]["state"], len(side.api.issues)) == ("open", 6)


def test_somebody_elses_issue_with_our_marker_is_left_alone(side: Side) -> None:
    theirs = side.api.add_issue("somebody", "theirs", "<!-- ours night -->\ntheirs")

    ask(side.forge.put_issue(REPOSITORY, NIGHT, Trail("", uncertain=True)))

    assert (theirs["title"], len(side.api.issues)) == ("theirs", 2)


def test_an_issue_that_somebody_deleted_is_made_anew(side: Side) -> None:
    known = ask(side.forge.put_issue(REPOSITORY, NIGHT, FRESH))
    side.api.issues[99] = side.api.issues.pop(int(known)) | {"number": 99}

    ask(side.forge.put_issue(REPOSITORY, NIGHT, Trail(known, uncertain=False)))

    assert len(side.api.issues) == 2


def test_the_head_of_a_branch_is_told(side: Side) -> None:
    side.api.heads = {"main": sha(7), "release-1": sha(8)}

    assert ask(side.forge.branch_head(REPOSITORY, "main")) == sha(7)
    assert ask(side.forge.branch_head(REPOSITORY, "release-1")) == sha(8)
    with pytest.raises(ForgeRefusedError):
        ask(side.forge.branch_head(REPOSITORY, "gone"))


def test_permissions_are_told_apart(side: Side) -> None:
    side.api.permissions = {"ann": "admin", "will": "write", "rita": "read"}

    found = [ask(side.forge.permission(REPOSITORY, login)) for login in ("ann", "will", "rita")]

    assert found == [Permission.ADMIN, Permission.WRITE, Permission.READ]
    assert [each.may_write for each in found] == [True, True, False]


def test_all_open_pull_requests_are_found_over_several_pages(side: Side) -> None:
    side.api.pulls = {number: pull(number, number + 10) for number in range(1, 8)}
    side.api.pulls[4]["state"] = "closed"

    found = ask(side.forge.open_pull_requests(REPOSITORY))

    assert [each.number for each in found] == [1, 2, 3, 5, 6, 7]
    assert ask(side.forge.pull_request(REPOSITORY, 2)).head.sha == sha(12)


@pytest.mark.parametrize("status", [500, 502, 503, 401, 403])
def test_what_may_work_later_is_told_from_what_never_will(side: Side, status: int) -> None:
    side.api.faults.append(Fault(status, method="GET"))
    with pytest.raises(ForgeUnavailableError):
        ask(side.forge.pull_request(REPOSITORY, 1))

    with pytest.raises(ForgeRefusedError) as caught:
        ask(side.forge.pull_request(REPOSITORY, 404))
    assert caught.value.status == 404


def test_a_rate_limit_says_how_long_to_wait(side: Side) -> None:
    side.api.faults.append(Fault(429, {"retry-after": "37"}, method="GET"))

    with pytest.raises(ForgeUnavailableError) as caught:
        ask(side.forge.pull_request(REPOSITORY, 1))

    assert caught.value.retry_after_s == 37


def test_no_error_holds_a_credential(side: Side) -> None:
    side.api.faults.append(Fault(401))

    with pytest.raises(ForgeUnavailableError) as caught:
        ask(side.forge.pull_request(REPOSITORY, 1))

    assert not re.search(r"ghp_|ghs_|Bearer|PRIVATE|eyJ", f"{caught.value!r} {caught.value} {side.forge!r}")


# GitHub alone


@pytest.fixture
def github() -> Iterator[Side]:
    api = GitHubApi()
    with served(api.app()) as url:
        yield Side(GitHubForge(TokenAuthStrategy(TOKEN), url, HOOK, timeout_s=2), api)
    assert api.problems == []


def remarks(count: int) -> list[Annotation]:
    return [
        Annotation(
            path="kernel/x.py",
            start_line=line,
            end_line=line,
            level=AnnotationLevel.FAILURE,
            title="guard",
            message="64 does not divide 100",
        )
        for line in range(1, count + 1)
    ]


def test_annotations_beyond_one_requests_limit_all_arrive_once(github: Side) -> None:
    assert isinstance(github.api, GitHubApi)
    told = completed(Conclusion.FAILURE, annotations=remarks(120))
    github.api.faults.append(Fault(502, applied=True, method="PATCH"))  # the second fifty arrive, the answer does not
    with pytest.raises(ForgeUnavailableError):
        ask(github.forge.put_check(REPOSITORY, told, FRESH))

    ask(github.forge.put_check(REPOSITORY, told, Trail("", uncertain=True)))

    [made] = github.api.checks.values()
    assert [each["start_line"] for each in made["annotations"]] == list(range(1, 121))


def test_a_report_longer_than_githubs_limit_is_cut_and_says_so(github: Side) -> None:
    assert isinstance(github.api, GitHubApi)
    ask(github.forge.put_check(REPOSITORY, completed(Conclusion.SUCCESS, summary="µ line\n" * 20_000), FRESH))

    summary = github.api.checks[1]["output"]["summary"]
    assert len(summary.encode()) <= 65_535
    assert summary.endswith("the details have all of it.*\n")


def test_who_maintains_a_repository_is_told_from_who_only_writes_to_it(github: Side) -> None:
    github.api.permissions = {"mia": "maintain", "tom": "triage"}

    found = [ask(github.forge.permission(REPOSITORY, login)) for login in ("mia", "tom")]

    assert found == [Permission.MAINTAIN, Permission.READ]
    assert found[0].may_write and not found[1].may_write


def delivery(number: int, guid: str, status_code: int) -> dict[str, Any]:
    when = f"2026-11-24T00:00:{number:02}Z"
    return {
        "id": number,
        "guid": guid,
        "delivered_at": when,
        "status_code": status_code,
        "event": "push",
        "action": None,
    }


def test_only_deliveries_that_never_arrived_are_asked_for_again(github: Side) -> None:
    from datetime import datetime, timezone

    assert isinstance(github.api, GitHubApi)
    github.api.hook_url = HOOK
    github.api.deliveries = [  # newest first
        delivery(9, "arrived-later", 202),
        delivery(8, "nobody-there", 502),
        delivery(7, "refused-here", 404),
        delivery(6, "arrived-later", 502),
        delivery(5, "disk-full", 507),
        delivery(1, "long-ago", 502),
    ]

    count = ask(github.forge.redeliver([REPOSITORY], datetime(2026, 11, 24, 0, 0, 4, tzinfo=timezone.utc)))

    assert count == 2
    assert github.api.redelivered == [5, 8]


def test_git_gets_a_credential_that_no_repr_shows(side: Side) -> None:
    token = ask(side.forge.fetch_token(REPOSITORY))

    assert token.get_secret_value() and token.get_secret_value() not in repr(token)
    if isinstance(side.api, GitHubApi) and "/app/installations/99/access_tokens" in " ".join(side.api.requests):
        assert token.get_secret_value().startswith("ghs_")  # of the installation, not the App's own


def test_every_request_is_counted_by_its_answer(side: Side) -> None:
    side.api.heads["main"] = sha(1)
    before = len(side.api.requests)
    assert ask(side.forge.branch_head(REPOSITORY, "main")) == sha(1)
    side.api.faults.append(Fault(502))
    with pytest.raises(ForgeUnavailableError):
        ask(side.forge.branch_head(REPOSITORY, "main"))

    traffic = side.forge.traffic
    assert traffic.answers[200] >= 1 and traffic.answers[502] == 1
    assert traffic.failures[ForgeFailure.UNAVAILABLE] == 1
    assert sum(traffic.answers.values()) <= len(side.api.requests) - before
