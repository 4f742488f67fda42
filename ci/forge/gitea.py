"""Gitea and Forgejo: commit statuses and comments. They have no check runs, so the report is in the comment alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.certificates import trusted
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion, Issue, Permission, Trail
from ci.forge.rest import ForgeRest
from ci.forge.traffic import ForgeTraffic
from ci.forge.webhook_payloads import Part, PullRequest, User

_TIMEOUT_S = 20.0
_MOST_CHARACTERS = 255  # of a status's description
_MOST_PAGES = 100
_MENDABLE = (401, 403)  # as at GitHub
_GONE = (404, 410)  # of an issue: deleted

# A status cannot ask for an action. "warning" would come closest, but lets a required check pass.
_STATES = {
    Conclusion.SUCCESS: "success",
    Conclusion.FAILURE: "failure",
    Conclusion.ACTION_REQUIRED: "error",
    Conclusion.CANCELLED: "error",
}
_PERMISSIONS = {
    "owner": Permission.ADMIN,
    "admin": Permission.ADMIN,
    "write": Permission.WRITE,
    "read": Permission.READ,
}


class _Status(Part):
    id: int
    context: str
    status: str
    description: str
    target_url: str


class _Comment(Part):
    id: int
    body: str = ""
    user: User | None = None


class _Issue(Part):
    number: int
    body: str = ""
    user: User | None = None


class _Commit(Part):
    id: str


class _Branch(Part):
    commit: _Commit


class GiteaForge:
    """One Gitea or Forgejo, with a token."""

    def __init__(self, token: SecretStr, api_url: str, timeout_s: float = _TIMEOUT_S) -> None:
        """`api_url` ends in "/api/v1"."""
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s
        self._login = ""
        self._rest = ForgeRest()
        self.traffic = ForgeTraffic()

    async def put_check(self, repository: str, check: Check, trail: Trail) -> str:
        """Add a commit status; the newest of a name counts."""
        state = _STATES[check.conclusion] if check.conclusion else "pending"
        body = {
            "context": check.name,
            "state": state,
            "description": _description(check),
            "target_url": check.details_url,
        }
        path = f"/repos/{repository}/statuses/{check.head_sha}"
        if trail.uncertain:
            async for each in self._pages(path, {"sort": "recentupdate"}):
                newest = _Status.model_validate(each)
                if newest.context != check.name:
                    continue
                if (newest.status, newest.description, newest.target_url) == (
                    state,
                    body["description"],
                    check.details_url,
                ):
                    return str(newest.id)
                break
        return str(_Status.model_validate(await self._call("POST", path, body)).id)

    async def put_comment(self, repository: str, comment: Comment, trail: Trail) -> str:
        """Make or update the comment of this marker."""
        comment_id = trail.remote_id
        if trail.uncertain and not comment_id:
            comment_id = await self._find_comment(repository, comment)
        issues = f"/repos/{repository}/issues"
        path = f"{issues}/comments/{comment_id}" if comment_id else f"{issues}/{comment.number}/comments"
        answer = await self._call("PATCH" if comment_id else "POST", path, {"body": comment.text})
        return str(_Comment.model_validate(answer).id)

    async def put_issue(self, repository: str, issue: Issue, trail: Trail) -> str:
        """Make, update, close or reopen the issue of this marker."""
        number = trail.remote_id
        if trail.uncertain and not number:
            number = await self._find_issue(repository, issue)
        content = {"title": issue.title, "body": issue.text}
        issues = f"/repos/{repository}/issues"
        if number:
            state = "open" if issue.is_open else "closed"
            try:
                await self._call("PATCH", f"{issues}/{number}", {**content, "state": state})
                return number
            except ForgeRefusedError as error:
                if error.status not in _GONE:
                    raise
        return str(_Issue.model_validate(await self._call("POST", issues, content)).number)

    async def branch_head(self, repository: str, branch: str) -> str:
        """The hash of a branch's newest commit."""
        answer = await self._call("GET", f"/repos/{repository}/branches/{quote(branch, safe='/')}")
        return _Branch.model_validate(answer).commit.id

    async def permission(self, repository: str, login: str) -> Permission:
        """What somebody may do."""
        answer = await self._call("GET", f"/repos/{repository}/collaborators/{login}/permission")
        return _PERMISSIONS.get(answer["permission"], Permission.NONE)

    async def pull_request(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now."""
        return PullRequest.model_validate(await self._call("GET", f"/repos/{repository}/pulls/{number}"))

    async def open_pull_requests(self, repository: str) -> list[PullRequest]:
        """Every open pull request."""
        pages = self._pages(f"/repos/{repository}/pulls", {"state": "open"})
        return [PullRequest.model_validate(each) async for each in pages]

    async def fetch_token(self, repository: str) -> SecretStr:
        """The same token: the API makes no lesser one."""
        return self._token

    async def redeliver(self, repositories: list[str], since: datetime) -> int:
        """0: the API has no redelivery. What was missed is found among the open pull requests."""
        return 0

    async def _find_comment(self, repository: str, comment: Comment) -> str:
        login = await self._own_login()
        async for each in self._pages(f"/repos/{repository}/issues/{comment.number}/comments", {}):
            found = _Comment.model_validate(each)
            if found.body.startswith(comment.marker) and found.user and found.user.login == login:
                return str(found.id)
        return ""

    async def _find_issue(self, repository: str, issue: Issue) -> str:
        login = await self._own_login()
        query = {"state": "all", "type": "issues", "created_by": login}
        async for each in self._pages(f"/repos/{repository}/issues", query):
            found = _Issue.model_validate(each)
            if found.body.startswith(issue.marker) and found.user and found.user.login == login:
                return str(found.number)
        return ""

    async def _own_login(self) -> str:
        if not self._login:
            self._login = User.model_validate(await self._call("GET", "/user")).login
        return self._login

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return (await self._send(method, f"{self._api_url}{path}", body, None)).json()

    async def _send(
        self, method: str, url: str, body: dict[str, Any] | None, query: dict[str, str] | None
    ) -> httpx.Response:
        headers = {"Authorization": f"token {self._token.get_secret_value()}", "User-Agent": "npu-kernel-farm"}
        doing = f"{method} {httpx.URL(url).path}"
        self._rest.require_over(doing)
        try:
            async with httpx.AsyncClient(timeout=self._timeout_s, verify=trusted()) as client:
                response = await client.request(method, url, json=body, params=query, headers=headers)
        except httpx.HTTPError as error:
            self.traffic.unanswered()
            raise ForgeUnavailableError(f"{doing}: {type(error).__name__}") from error
        status = response.status_code
        self.traffic.answered(status, response.headers)
        if status in _MENDABLE or status in (408, 429) or status >= 500:
            after = response.headers.get("retry-after", "")
            away = ForgeUnavailableError(f"{doing}: HTTP {status}", float(after) if after.isdecimal() else None)
            self._rest.note(away)
            raise away
        if response.is_error:
            raise ForgeRefusedError(status, f"{doing}: refused")
        return response

    async def _pages(self, path: str, query: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Every entry of a list, over all pages."""
        url = f"{self._api_url}{path}"
        params: dict[str, str] | None = {**query, "limit": "50"}
        for _ in range(_MOST_PAGES):
            response = await self._send("GET", url, None, params)
            for each in response.json():
                yield each
            following = response.links.get("next")
            if not following:
                return
            url, params = following["url"], None


def _description(check: Check) -> str:
    waiting = check.status is not CheckStatus.COMPLETED
    text = f"{check.title} (say /farm run to try again)" if check.offers_retry and not waiting else check.title
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
