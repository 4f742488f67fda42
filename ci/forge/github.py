"""GitHub, as an App or with a token: check runs and comments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from githubkit import AppAuthStrategy, GitHub, TokenAuthStrategy
from githubkit.auth.base import BaseAuthStrategy
from githubkit.cache import MemCacheStrategy
from githubkit.exception import GitHubException, RequestError, RequestFailed
from githubkit.response import Response
from pydantic import SecretStr

from ci.errors import ForgeRefusedError
from ci.forge.certificates import trusted
from ci.forge.github_answers import (
    BranchAnswer,
    CheckRunAnswer,
    CommentAnswer,
    DeliveryAnswer,
    Hook,
    IssueAnswer,
    to_redeliver,
)
from ci.forge.github_errors import translated
from ci.forge.markers import RETRY_ACTION
from ci.forge.protocol import Annotation, Check, CheckStatus, Comment, Issue, Permission, Trail
from ci.forge.rest import ForgeRest
from ci.forge.traffic import ForgeTraffic
from ci.forge.webhook_payloads import PullRequest

_VERSION = {"X-GitHub-Api-Version": "2022-11-28"}
_TIMEOUT_S = 20.0
_MOST_ANNOTATIONS = 50  # of one request; GitHub adds those of the next to them
_MOST_CHARACTERS = 65_535  # of a summary
_MOST_PAGES = 100  # of 100 entries
_GONE = (404, 410)  # of an issue: deleted


class GitHubForge:
    """One GitHub, github.com or an enterprise's. githubkit signs in; when to try again is the outbox's business."""

    def __init__(
        self, auth: AppAuthStrategy | TokenAuthStrategy, api_url: str, webhook_url: str, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """`webhook_url` is where our webhooks arrive, by which a repository's hook is known as ours."""
        self._auth = auth
        self._webhook_url = webhook_url
        self._github: GitHub[BaseAuthStrategy] = GitHub(
            auth,
            base_url=api_url,
            auto_retry=False,
            http_cache=False,
            timeout=timeout_s,
            ssl_verify=trusted(),
            user_agent="npu-kernel-farm",
            cache_strategy=MemCacheStrategy(),  # the default one is shared by all of a process: two GitHubs would mix
        )
        self._installed: dict[str, GitHub[BaseAuthStrategy]] = {}  # by repository
        self._login = ""
        self._rest = ForgeRest()
        self.traffic = ForgeTraffic()

    async def put_check(self, repository: str, check: Check, trail: Trail) -> str:
        """Make or update a check run, and add what is missing of its annotations."""
        there = await self._find_check(repository, check) if trail.uncertain else None
        check_id = str(there.id) if there else trail.remote_id
        told = there.output.annotations_count if there else 0
        if there and there.says(check) and told >= len(check.annotations):
            return check_id
        left = check.annotations[told:]
        while True:
            batch, left = left[:_MOST_ANNOTATIONS], left[_MOST_ANNOTATIONS:]
            body = _check_body(check, batch)
            if check_id:
                await self._call(repository, "PATCH", f"/check-runs/{check_id}", body)
            else:
                made = await self._call(repository, "POST", "/check-runs", {**body, "head_sha": check.head_sha})
                check_id = str(CheckRunAnswer.model_validate(made).id)
            if not left:
                return check_id

    async def put_comment(self, repository: str, comment: Comment, trail: Trail) -> str:
        """Make or update the comment of this marker."""
        comment_id = trail.remote_id
        if trail.uncertain and not comment_id:
            comment_id = await self._find_comment(repository, comment)
        path = f"/issues/comments/{comment_id}" if comment_id else f"/issues/{comment.number}/comments"
        answer = await self._call(
            repository, "PATCH" if comment_id else "POST", path, {"body": shortened(comment.text)}
        )
        return str(CommentAnswer.model_validate(answer).id)

    async def put_issue(self, repository: str, issue: Issue, trail: Trail) -> str:
        """Make, update, close or reopen the issue of this marker."""
        number = trail.remote_id
        if trail.uncertain and not number:
            number = await self._find_issue(repository, issue)
        content = {"title": issue.title, "body": shortened(issue.text)}
        if number:
            state = "open" if issue.is_open else "closed"
            try:
                await self._call(repository, "PATCH", f"/issues/{number}", {**content, "state": state})
                return number
            except ForgeRefusedError as error:
                if error.status not in _GONE:
                    raise
        answer = await self._call(repository, "POST", "/issues", content)
        return str(IssueAnswer.model_validate(answer).number)

    async def branch_head(self, repository: str, branch: str) -> str:
        """The hash of a branch's newest commit."""
        answer = await self._call(repository, "GET", f"/branches/{quote(branch, safe='')}")
        return BranchAnswer.model_validate(answer).commit.sha

    async def permission(self, repository: str, login: str) -> Permission:
        """What somebody may do. GitHub counts `triage` as read, and shows `maintain` by the name of the role alone."""
        answer = await self._call(repository, "GET", f"/collaborators/{login}/permission")
        maintains = answer["permission"] == "write" and answer.get("role_name") == "maintain"
        return Permission.MAINTAIN if maintains else Permission(answer["permission"])

    async def pull_request(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now."""
        return PullRequest.model_validate(await self._call(repository, "GET", f"/pulls/{number}"))

    async def open_pull_requests(self, repository: str) -> list[PullRequest]:
        """Every open pull request."""
        github = await self._of(repository)
        pages = self._pages(github, f"/repos/{repository}/pulls", {"state": "open"})
        return [PullRequest.model_validate(each) async for each in pages]

    async def fetch_token(self, repository: str) -> SecretStr:
        """Of an App a fresh token that can read this one repository's contents; else the token there is."""
        if not isinstance(self._auth, AppAuthStrategy):
            return SecretStr(self._auth.token)
        installed = await self._send(self._github, "GET", f"/repos/{repository}/installation")
        asked = {"repositories": [repository.partition("/")[2]], "permissions": {"contents": "read"}}
        path = f"/app/installations/{int(installed['id'])}/access_tokens"
        return SecretStr(str((await self._send(self._github, "POST", path, asked))["token"]))

    async def redeliver(self, repositories: list[str], since: datetime) -> int:
        """Ask for deliveries that found nobody here, of the App's hook or of our hook at each repository."""
        if isinstance(self._auth, AppAuthStrategy):
            return await self._redeliver("/app/hook", since)
        count = 0
        for repository in repositories:
            async for each in self._pages(self._github, f"/repos/{repository}/hooks", {}):
                hook = Hook.model_validate(each)
                if hook.config.url == self._webhook_url:
                    count += await self._redeliver(f"/repos/{repository}/hooks/{hook.id}", since)
        return count

    async def _redeliver(self, hook: str, since: datetime) -> int:
        deliveries = []
        async for each in self._pages(self._github, f"{hook}/deliveries", {}):  # newest first
            delivery = DeliveryAnswer.model_validate(each)
            if delivery.delivered_at < since:
                break
            deliveries.append(delivery)
        wanted = to_redeliver(deliveries)
        for delivery_id in wanted:
            await self._send(self._github, "POST", f"{hook}/deliveries/{delivery_id}/attempts")
        return len(wanted)

    async def _find_check(self, repository: str, check: Check) -> CheckRunAnswer | None:
        github = await self._of(repository)
        path = f"/repos/{repository}/commits/{check.head_sha}/check-runs"
        query = {"check_name": check.name, "filter": "all"}
        async for each in self._pages(github, path, query, "check_runs"):
            found = CheckRunAnswer.model_validate(each)
            if found.external_id == check.external_id:
                return found
        return None

    async def _find_comment(self, repository: str, comment: Comment) -> str:
        """The id of our comment, "" where there is none. Anyone may write our marker, so the author counts too."""
        github, login = await self._of(repository), await self._own_login()
        async for each in self._pages(github, f"/repos/{repository}/issues/{comment.number}/comments", {}):
            found = CommentAnswer.model_validate(each)
            if found.body.startswith(comment.marker) and found.user and found.user.login == login:
                return str(found.id)
        return ""

    async def _find_issue(self, repository: str, issue: Issue) -> str:
        """The number of our issue, "" where there is none."""
        github, login = await self._of(repository), await self._own_login()
        query = {"state": "all", "creator": login}
        async for each in self._pages(github, f"/repos/{repository}/issues", query):
            found = IssueAnswer.model_validate(each)
            ours = found.user is not None and found.user.login == login
            if ours and not found.pull_request and (found.body or "").startswith(issue.marker):
                return str(found.number)
        return ""

    async def _own_login(self) -> str:
        if not self._login:
            app = isinstance(self._auth, AppAuthStrategy)
            answer = await self._send(self._github, "GET", "/app" if app else "/user")
            self._login = f"{answer['slug']}[bot]" if app else answer["login"]
        return self._login

    async def _of(self, repository: str) -> GitHub[BaseAuthStrategy]:
        """Signed in for `repository`: as the App's installation there, or with the token."""
        if not isinstance(self._auth, AppAuthStrategy):
            return self._github
        if repository not in self._installed:
            answer = await self._send(self._github, "GET", f"/repos/{repository}/installation")
            self._installed[repository] = self._github.with_auth(self._auth.as_installation(int(answer["id"])))
        return self._installed[repository]

    async def _call(self, repository: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await self._send(await self._of(repository), method, f"/repos/{repository}{path}", body)

    async def _send(self, github: GitHub[Any], method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        return (await self._answer(github, method, url, body=body)).json()

    async def _answer(
        self, github: GitHub[Any], method: str, url: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Response[Any]:
        """What GitHub answers. It is not asked while it wants a rest."""
        doing = f"{method} {url}"
        self._rest.require_over(doing)
        try:
            answer = await github.arequest(method, url, json=body, params=query, headers=_VERSION)
        except GitHubException as error:
            self._count(error)
            self._installed.clear()  # the App may have been installed anew, under another number
            failure = translated(error, doing)
            self._rest.note(failure)
            raise failure from error
        self.traffic.answered(answer.status_code, answer.headers)
        return answer

    def _count(self, error: GitHubException) -> None:
        if isinstance(error, RequestFailed):  # a rate limit too
            self.traffic.answered(error.response.status_code, error.response.headers)
        elif isinstance(error, RequestError):
            self.traffic.unanswered()

    async def _pages(
        self, github: GitHub[Any], url: str, query: dict[str, str], inside: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Every entry of a list, or of its field `inside`, over all pages."""
        params: dict[str, str] | None = {**query, "per_page": "100"}
        for _ in range(_MOST_PAGES):
            response = await self._answer(github, "GET", url, query=params)
            answer = response.json()
            for each in answer[inside] if inside else answer:
                yield each
            following = response.raw_response.links.get("next")
            if not following:
                return
            url, params = following["url"], None  # the link has the query in it


def _check_body(check: Check, annotations: list[Annotation]) -> dict[str, Any]:
    output: dict[str, Any] = {"title": check.title, "summary": shortened(check.summary)}
    if annotations:
        output["annotations"] = [_annotation(each) for each in annotations]
    body: dict[str, Any] = {"name": check.name, "external_id": check.external_id, "details_url": check.details_url}
    body |= {"status": check.status.value, "output": output}
    if check.status is CheckStatus.COMPLETED and check.conclusion is not None:
        body["conclusion"] = check.conclusion.value
    if check.offers_retry:
        action = {"label": "Retry", "description": "Validate this commit once more", "identifier": RETRY_ACTION}
        body["actions"] = [action]
    return body


def _annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "path": annotation.path,
        "start_line": annotation.start_line,
        "end_line": annotation.end_line,
        "annotation_level": annotation.level.value,
        "title": annotation.title,
        "message": annotation.message,
    }


def shortened(markdown: str, limit: int = _MOST_CHARACTERS) -> str:
    """`markdown`, cut at a line to fit `limit` bytes of UTF-8, which are never more than as many characters."""
    if len(markdown.encode()) <= limit:
        return markdown
    notice = "\n\n*The rest did not fit; the details have all of it.*\n"
    kept = markdown.encode()[: limit - len(notice.encode())].decode(errors="ignore")
    return kept.rpartition("\n")[0] + notice
