"""Gitea and Forgejo: commit statuses and comments. They have no check runs, so the report is in the comment alone."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from pydantic import SecretStr

from ci.errors import ForgeRefusedError
from ci.forge.json_api import JsonApi
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion, Issue, Permission, Trail
from ci.forge.webhook_payloads import Part, PullRequest, User

_TIMEOUT_S = 20.0
_MOST_CHARACTERS = 255  # of a status's description
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
        self._token = token
        self._login = ""
        headers = {"Authorization": f"token {token.get_secret_value()}"}
        self._api = JsonApi(api_url, headers, {"limit": "50"}, timeout_s)
        self.traffic = self._api.traffic

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
            async for each in self._api.pages(path, {"sort": "recentupdate"}):
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
        return str(_Status.model_validate(await self._api.call("POST", path, body)).id)

    async def put_comment(self, repository: str, comment: Comment, trail: Trail) -> str:
        """Make or update the comment of this marker."""
        comment_id = trail.remote_id
        if trail.uncertain and not comment_id:
            comment_id = await self._find_comment(repository, comment)
        issues = f"/repos/{repository}/issues"
        path = f"{issues}/comments/{comment_id}" if comment_id else f"{issues}/{comment.number}/comments"
        answer = await self._api.call("PATCH" if comment_id else "POST", path, {"body": comment.text})
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
                await self._api.call("PATCH", f"{issues}/{number}", {**content, "state": state})
                return number
            except ForgeRefusedError as error:
                if error.status not in _GONE:
                    raise
        return str(_Issue.model_validate(await self._api.call("POST", issues, content)).number)

    async def branch_head(self, repository: str, branch: str) -> str:
        """The hash of a branch's newest commit."""
        answer = await self._api.call("GET", f"/repos/{repository}/branches/{quote(branch, safe='/')}")
        return _Branch.model_validate(answer).commit.id

    async def permission(self, repository: str, login: str) -> Permission:
        """What somebody may do."""
        answer = await self._api.call("GET", f"/repos/{repository}/collaborators/{login}/permission")
        return _PERMISSIONS.get(answer["permission"], Permission.NONE)

    async def pull_request(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now."""
        return PullRequest.model_validate(await self._api.call("GET", f"/repos/{repository}/pulls/{number}"))

    async def open_pull_requests(self, repository: str) -> list[PullRequest]:
        """Every open pull request."""
        pages = self._api.pages(f"/repos/{repository}/pulls", {"state": "open"})
        return [PullRequest.model_validate(each) async for each in pages]

    async def fetch_token(self, repository: str) -> SecretStr:
        """The same token: the API makes no lesser one."""
        return self._token

    async def redeliver(self, repositories: list[str], since: datetime) -> int:
        """0: the API has no redelivery. What was missed is found among the open pull requests."""
        return 0

    async def _find_comment(self, repository: str, comment: Comment) -> str:
        login = await self._own_login()
        async for each in self._api.pages(f"/repos/{repository}/issues/{comment.number}/comments", {}):
            found = _Comment.model_validate(each)
            if found.body.startswith(comment.marker) and found.user and found.user.login == login:
                return str(found.id)
        return ""

    async def _find_issue(self, repository: str, issue: Issue) -> str:
        login = await self._own_login()
        query = {"state": "all", "type": "issues", "created_by": login}
        async for each in self._api.pages(f"/repos/{repository}/issues", query):
            found = _Issue.model_validate(each)
            if found.body.startswith(issue.marker) and found.user and found.user.login == login:
                return str(found.number)
        return ""

    async def _own_login(self) -> str:
        if not self._login:
            self._login = User.model_validate(await self._api.call("GET", "/user")).login
        return self._login


def _description(check: Check) -> str:
    waiting = check.status is not CheckStatus.COMPLETED
    text = f"{check.title} (say /farm run to try again)" if check.offers_retry and not waiting else check.title
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
