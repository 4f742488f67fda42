"""Gitee and GitCode, by version 5 of their API: a label and comments on the pull request.

Neither forge's API takes a commit status. So the state of the required check is one label of the pull request, and the
report is in the comment alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from pydantic import SecretStr

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge import state_labels
from ci.forge.api_v5_payloads import V5Branch, V5Comment, V5Issue, V5Label, V5PullRequest
from ci.forge.json_api import JsonApi
from ci.forge.markers import without_commands
from ci.forge.protocol import Check, Comment, Issue, Permission, Trail
from ci.forge.webhook_payloads import PullRequest, User

_TIMEOUT_S = 20.0
_PAGE_SIZE = 100  # the most that both forges give
_GONE = (404, 410)
_NO_COMMIT = "0" * 40
_MAX_CHARACTERS = 255  # of an issue's title
# The forges' words; any other is no permission.
_PERMISSIONS = {
    "admin": Permission.ADMIN,
    "push": Permission.WRITE,
    "write": Permission.WRITE,
    "pull": Permission.READ,
    "read": Permission.READ,
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the two forges write differently."""

    open_issue: str  # what opens an issue again
    close_issue: str
    colour_prefix: str


GITEE = Dialect(open_issue="open", close_issue="closed", colour_prefix="")
GITCODE = Dialect(open_issue="reopen", close_issue="close", colour_prefix="#")


class ApiV5Forge:
    """One Gitee or GitCode, with the token of an account that may write to the repositories.

    A label belongs to a pull request and not to a commit, so it is set where the pull request's head is the check's
    commit, and a *passed* is taken back where the head has moved meanwhile.
    """

    def __init__(
        self,
        token: SecretStr,
        api_url: str,
        required: Mapping[str, str],
        dialect: Dialect,
        timeout_s: float = _TIMEOUT_S,
        page_size: int = _PAGE_SIZE,
    ) -> None:
        """`api_url` ends in "/api/v5". `required` has the name of each repository's required check.

        A check of any other name proves less, and gets no label.
        """
        self._token = token
        self._required = {name.lower(): check for name, check in required.items()}
        self._dialect = dialect
        self._page_size = page_size
        self._login = ""
        self._labelled: set[str] = set()  # repositories that are known to have our labels
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._api = JsonApi(api_url, headers, {}, timeout_s)
        self.traffic = self._api.traffic

    async def put_check(self, repository: str, check: Check, trail: Trail) -> str:
        """Label the open pull requests whose head is the check's commit. The id is the label and their numbers.

        Texts on progress change no label, and cost no request.
        """
        if self._required.get(repository.lower()) != check.name:
            return trail.remote_id
        label = state_labels.label_of(check)
        before, _, numbers = trail.remote_id.partition(" ")
        if before == label == state_labels.WAITING and numbers and not trail.uncertain:
            return trail.remote_id
        pulls = [each for each in await self._open(repository) if each.head.sha == check.head_sha]
        for each in pulls:
            await self._put_label(repository, each.number, label)
            if label == state_labels.PASSED:
                await self._require_head(repository, each.number, check.head_sha)
        return f"{label} {','.join(str(each.number) for each in pulls)}"

    async def put_comment(self, repository: str, comment: Comment, trail: Trail) -> str:
        """Make or update the comment of this marker."""
        pulls = f"{_path(repository)}/pulls"
        comment_id = trail.remote_id
        if trail.uncertain and not comment_id:
            comment_id = await self._find_comment(repository, comment)
        content = {"body": without_commands(comment.text)}
        if comment_id:
            await self._api.call("PATCH", f"{pulls}/comments/{comment_id}", content)
            return comment_id
        answer = await self._api.call("POST", f"{pulls}/{comment.number}/comments", content)
        return V5Comment.model_validate(answer).key

    async def put_issue(self, repository: str, issue: Issue, trail: Trail) -> str:
        """Make, update, close or reopen the issue of this marker."""
        number = trail.remote_id
        if trail.uncertain and not number:
            number = await self._find_issue(repository, issue)
        owner, _, name = repository.partition("/")
        issues = f"/repos/{quote(owner, safe='')}/issues"
        content = {"repo": name, "title": _short(issue.title), "body": without_commands(issue.text)}
        state = {"state": self._dialect.open_issue if issue.is_open else self._dialect.close_issue}
        if number:
            try:
                await self._api.call("PATCH", f"{issues}/{quote(number, safe='')}", {**content, **state})
                return number
            except ForgeRefusedError as error:
                if error.status not in _GONE:
                    raise
        number = str(V5Issue.model_validate(await self._api.call("POST", issues, content)).number)
        if not issue.is_open:
            await self._api.call("PATCH", f"{issues}/{quote(number, safe='')}", {**content, **state})
        return number

    async def branch_head(self, repository: str, branch: str) -> str:
        """The hash of a branch's newest commit."""
        answer = await self._api.call("GET", f"{_path(repository)}/branches/{quote(branch, safe='')}")
        head = V5Branch.model_validate(answer).head
        if not head:
            raise ForgeUnavailableError(f"branch {branch} of {repository}: the forge names no commit of it")
        return head

    async def permission(self, repository: str, login: str) -> Permission:
        """What somebody may do; nothing, for anybody who is not a member."""
        path = f"{_path(repository)}/collaborators/{quote(login, safe='')}/permission"
        try:
            answer = await self._api.call("GET", path)
        except ForgeRefusedError as error:
            if error.status not in _GONE:
                raise
            return Permission.NONE
        return _PERMISSIONS.get(str(answer.get("permission", "")), Permission.NONE)

    async def pull_request(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now, on the newest commit of its target branch."""
        found = await self._pull(repository, number)
        try:
            base_sha = await self.branch_head(repository, found.base.ref)
        except ForgeRefusedError as error:
            if found.is_open or error.status not in _GONE:
                raise
            base_sha = _NO_COMMIT  # of a closed one, whose branch may be gone
        return found.as_pull_request(repository, base_sha)

    async def open_pull_requests(self, repository: str) -> list[PullRequest]:
        """Every open pull request."""
        heads: dict[str, str] = {}
        pulls = []
        for found in await self._open(repository):
            branch = found.base.ref
            if branch not in heads:
                heads[branch] = await self.branch_head(repository, branch)
            pulls.append(found.as_pull_request(repository, heads[branch]))
        return pulls

    async def fetch_token(self, repository: str) -> SecretStr:
        """The same token: the API makes no lesser one."""
        return self._token

    async def redeliver(self, repositories: list[str], since: datetime) -> int:
        """0: what was missed is found among the open pull requests."""
        return 0

    async def _pull(self, repository: str, number: int) -> V5PullRequest:
        return V5PullRequest.model_validate(await self._api.call("GET", f"{_path(repository)}/pulls/{number}"))

    async def _open(self, repository: str) -> list[V5PullRequest]:
        pages = self._api.numbered_pages(f"{_path(repository)}/pulls", {"state": "open"}, self._page_size)
        return [V5PullRequest.model_validate(each) async for each in pages]

    async def _put_label(self, repository: str, number: int, label: str) -> None:
        """Take our other labels away first: at no moment does one of them stand beside the new one."""
        await self._make_labels(repository)
        labels = f"{_path(repository)}/pulls/{number}/labels"
        pages = self._api.numbered_pages(labels, {}, self._page_size)
        present = [V5Label.model_validate(each).name async for each in pages]
        for each in state_labels.outdated(present, label):
            await self._remove(labels, each)
        if label not in present:
            await self._api.call("POST", labels, [label])

    async def _require_head(self, repository: str, number: int, head_sha: str) -> None:
        """Take *passed* back where commits came while it was set."""
        if (await self._pull(repository, number)).head.sha != head_sha:
            await self._remove(f"{_path(repository)}/pulls/{number}/labels", state_labels.PASSED)

    async def _remove(self, labels: str, label: str) -> None:
        try:
            await self._api.call("DELETE", f"{labels}/{quote(label, safe='')}")
        except ForgeRefusedError as error:
            if error.status not in _GONE:  # somebody was faster
                raise

    async def _make_labels(self, repository: str) -> None:
        """Make our labels in the repository, once in the life of the process."""
        if repository in self._labelled:
            return
        labels = f"{_path(repository)}/labels"
        pages = self._api.numbered_pages(labels, {}, self._page_size)
        present = {V5Label.model_validate(each).name async for each in pages}
        for name, colour in state_labels.COLOURS.items():
            if name not in present:
                await self._api.post_form(labels, {"name": name, "color": f"{self._dialect.colour_prefix}{colour}"})
        self._labelled.add(repository)

    async def _find_comment(self, repository: str, comment: Comment) -> str:
        login = await self._own_login()
        path = f"{_path(repository)}/pulls/{comment.number}/comments"
        async for each in self._api.numbered_pages(path, {}, self._page_size):
            found = V5Comment.model_validate(each)
            if (found.body or "").startswith(comment.marker) and found.user and found.user.login == login:
                return found.key
        return ""

    async def _find_issue(self, repository: str, issue: Issue) -> str:
        login = await self._own_login()
        query = {"state": "all", "creator": login}
        async for each in self._api.numbered_pages(f"{_path(repository)}/issues", query, self._page_size):
            found = V5Issue.model_validate(each)
            if (found.body or "").startswith(issue.marker) and found.user and found.user.login == login:
                return str(found.number)
        return ""

    async def _own_login(self) -> str:
        if not self._login:
            self._login = User.model_validate(await self._api.call("GET", "/user")).login
        return self._login


def _path(repository: str) -> str:
    return f"/repos/{quote(repository, safe='/')}"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
