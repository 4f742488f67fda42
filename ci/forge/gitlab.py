"""GitLab: commit statuses and notes on merge requests. It has no check runs, so the report is in the note alone."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from pydantic import SecretStr

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.gitlab_payloads import (
    GitLabBranch,
    GitLabCommit,
    GitLabIssue,
    GitLabMember,
    GitLabMergeRequest,
    GitLabNote,
    GitLabStatus,
    GitLabUser,
)
from ci.forge.json_api import JsonApi
from ci.forge.markers import without_commands
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion, Issue, Permission, Trail
from ci.forge.webhook_payloads import PullRequest

_TIMEOUT_S = 20.0
_MAX_CHARACTERS = 255  # of a status's description and of an issue's title
_GONE = (404, 410)
_BAD_REQUEST = 400
_CONFLICT = 409  # another update of the status is in progress
_NO_COMMIT = "0" * 40

# A status cannot ask for an action. "skipped" would let a merge through in some projects.
_STATES = {
    Conclusion.SUCCESS: "success",
    Conclusion.FAILURE: "failed",
    Conclusion.ACTION_REQUIRED: "failed",
    Conclusion.CANCELLED: "canceled",
}
_WAITING = {CheckStatus.QUEUED: "pending", CheckStatus.IN_PROGRESS: "running"}
# Least access level of each permission, highest first: Owner, Maintainer, Developer, Guest.
_LEVELS = (
    (50, Permission.ADMIN),
    (40, Permission.MAINTAIN),
    (30, Permission.WRITE),
    (10, Permission.READ),
)


class GitLabForge:
    """One GitLab, with the token of a person, a project or a group."""

    def __init__(self, token: SecretStr, api_url: str, timeout_s: float = _TIMEOUT_S) -> None:
        """`api_url` ends in "/api/v4"."""
        self._token = token
        self._login = ""
        self._api = JsonApi(api_url, {"PRIVATE-TOKEN": token.get_secret_value()}, {"per_page": "100"}, timeout_s)
        self.traffic = self._api.traffic

    async def put_check(self, repository: str, check: Check, trail: Trail) -> str:
        """Add a commit status, or update the one that waits; the newest of a name counts.

        GitLab refuses a change from one waiting state to the same or an earlier one. Neither lets a merge through, so
        the status that is there then stands. A verdict that is refused is an error.
        """
        state = _STATES[check.conclusion] if check.conclusion else _WAITING[check.status]
        body = {
            "name": check.name,
            "state": state,
            "description": _description(check),
            "target_url": check.details_url,
        }
        if trail.uncertain:
            newest = await self._newest_status(repository, check)
            if newest and (newest.status, newest.description, newest.target_url) == (
                state,
                body["description"],
                check.details_url,
            ):
                return str(newest.id)
        if not trail.remote_id:
            body |= await self._ref(repository, check.head_sha)
        path = f"{_project(repository)}/statuses/{check.head_sha}"
        try:
            return str(GitLabStatus.model_validate(await self._api.call("POST", path, body)).id)
        except ForgeRefusedError as error:
            if error.status == _CONFLICT:
                raise ForgeUnavailableError(f"{error}: another update is in progress") from error
            newest = await self._newest_status(repository, check) if error.status == _BAD_REQUEST else None
            waits = newest is not None and {newest.status, state} <= set(_WAITING.values())
            if newest is None or not waits:
                raise
            return str(newest.id)

    async def put_comment(self, repository: str, comment: Comment, trail: Trail) -> str:
        """Make or update the note of this marker."""
        notes = f"{_project(repository)}/merge_requests/{comment.number}/notes"
        note_id = trail.remote_id
        if trail.uncertain and not note_id:
            note_id = await self._find_note(notes, comment)
        method, path = ("PUT", f"{notes}/{note_id}") if note_id else ("POST", notes)
        answer = await self._api.call(method, path, {"body": without_commands(comment.text)})
        return str(GitLabNote.model_validate(answer).id)

    async def put_issue(self, repository: str, issue: Issue, trail: Trail) -> str:
        """Make, update, close or reopen the issue of this marker."""
        issues = f"{_project(repository)}/issues"
        number = trail.remote_id
        if trail.uncertain and not number:
            number = await self._find_issue(issues, issue)
        content = {"title": _short(issue.title), "description": without_commands(issue.text)}
        kept = None
        if number:
            try:
                kept = GitLabIssue.model_validate(await self._api.call("PUT", f"{issues}/{number}", content))
            except ForgeRefusedError as error:
                if error.status not in _GONE:
                    raise
        if kept is None:
            kept = GitLabIssue.model_validate(await self._api.call("POST", issues, content))
        if (kept.state == "opened") != issue.is_open:
            change = {"state_event": "reopen" if issue.is_open else "close"}
            await self._api.call("PUT", f"{issues}/{kept.iid}", change)
        return str(kept.iid)

    async def branch_head(self, repository: str, branch: str) -> str:
        """The hash of a branch's newest commit."""
        answer = await self._api.call("GET", f"{_project(repository)}/repository/branches/{quote(branch, safe='')}")
        return GitLabBranch.model_validate(answer).commit.id

    async def permission(self, repository: str, login: str) -> Permission:
        """What somebody may do as an active member, directly or by a group. Others may do nothing."""
        found = await self._api.call("GET", "/users", query={"username": login})
        users = [GitLabUser.model_validate(each) for each in found]
        ids = [user.id for user in users if user.username.lower() == login.lower()]
        if len(ids) != 1:
            return Permission.NONE
        try:
            answer = await self._api.call("GET", f"{_project(repository)}/members/all/{ids[0]}")
        except ForgeRefusedError as error:
            if error.status not in _GONE:
                raise
            return Permission.NONE
        member = GitLabMember.model_validate(answer)
        level = member.access_level if member.state == "active" else 0
        return next((permission for least, permission in _LEVELS if level >= least), Permission.NONE)

    async def pull_request(self, repository: str, number: int) -> PullRequest:
        """A merge request as it is now, on the newest commit of its target branch."""
        answer = await self._api.call("GET", f"{_project(repository)}/merge_requests/{number}")
        found = GitLabMergeRequest.model_validate(answer)
        if found.sha is None:
            raise ForgeUnavailableError(f"merge request {number} of {repository}: GitLab has not prepared it yet")
        try:
            base_sha = await self.branch_head(repository, found.target_branch)
        except ForgeRefusedError as error:
            if found.is_open or error.status not in _GONE:
                raise
            base_sha = _NO_COMMIT  # of a closed one, whose branch may be gone
        return found.as_pull_request(repository, found.sha, base_sha)

    async def open_pull_requests(self, repository: str) -> list[PullRequest]:
        """Every open merge request that GitLab has prepared; each of the others has a webhook to come."""
        heads: dict[str, str] = {}
        pulls = []
        async for each in self._api.pages(f"{_project(repository)}/merge_requests", {"state": "opened"}):
            found = GitLabMergeRequest.model_validate(each)
            if found.sha is None:
                continue
            branch = found.target_branch
            if branch not in heads:
                heads[branch] = await self.branch_head(repository, branch)
            pulls.append(found.as_pull_request(repository, found.sha, heads[branch]))
        return pulls

    async def fetch_token(self, repository: str) -> SecretStr:
        """The same token: the API makes no lesser one that lives an hour."""
        return self._token

    async def redeliver(self, repositories: list[str], since: datetime) -> int:
        """0: what was missed is found among the open merge requests."""
        return 0

    async def _ref(self, repository: str, sha: str) -> dict[str, str]:
        """The branch to name with the first status of a commit, as a part of the request.

        GitLab merges by the newest pipeline of a merge request. Where a commit has one, the status joins it if no
        branch is named. Else GitLab makes one for the first branch that has the commit, which may be another one.
        """
        path = f"{_project(repository)}/repository/commits/{sha}"
        if GitLabCommit.model_validate(await self._api.call("GET", path)).last_pipeline is not None:
            return {}
        async for each in self._api.pages(f"{path}/merge_requests", {"state": "opened"}):
            found = GitLabMergeRequest.model_validate(each)
            if found.sha == sha and not found.is_of_fork:
                return {"ref": found.source_branch}
        return {}

    async def _newest_status(self, repository: str, check: Check) -> GitLabStatus | None:
        path = f"{_project(repository)}/repository/commits/{check.head_sha}/statuses"
        found = [GitLabStatus.model_validate(each) async for each in self._api.pages(path, {"name": check.name})]
        mine = [each for each in found if each.name == check.name]
        return max(mine, key=lambda each: each.id, default=None)

    async def _find_note(self, notes: str, comment: Comment) -> str:
        login = await self._own_login()
        async for each in self._api.pages(notes, {}):
            found = GitLabNote.model_validate(each)
            if found.body.startswith(comment.marker) and found.author and found.author.username == login:
                return str(found.id)
        return ""

    async def _find_issue(self, issues: str, issue: Issue) -> str:
        login = await self._own_login()
        async for each in self._api.pages(issues, {"state": "all", "scope": "all", "author_username": login}):
            found = GitLabIssue.model_validate(each)
            ours = found.author is not None and found.author.username == login
            if ours and (found.description or "").startswith(issue.marker):
                return str(found.iid)
        return ""

    async def _own_login(self) -> str:
        if not self._login:
            self._login = GitLabUser.model_validate(await self._api.call("GET", "/user")).username
        return self._login


def _project(repository: str) -> str:
    """The path of a project, whose name is one part of it: "octo-org%2Fkernels"."""
    return f"/projects/{quote(repository, safe='')}"


def _description(check: Check) -> str:
    is_over = check.status is CheckStatus.COMPLETED
    return _short(f"{check.title} (say /farm run to try again)" if check.offers_retry and is_over else check.title)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
