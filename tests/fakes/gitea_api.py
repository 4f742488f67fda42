"""A Gitea that takes no field its API does not document, and remembers what it was told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.branch_protection import gitea_lets_merge
from tests.fakes.github_api import LOGIN, PAGE, TOKEN, Fault, answered
from tests.fakes.oauth import OAuth

_FIELDS = {
    "statuses": {"context", "description", "state", "target_url"},
    "comments": {"body", "updated_at"},
    "issues": {"body", "title", "state"},
}
_STATES = ("pending", "success", "error", "failure", "warning")


class GiteaApi:
    """The state of a Gitea; serve it below `/api/v1`."""

    def __init__(self) -> None:
        self.login = LOGIN
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.statuses: list[dict[str, Any]] = []
        self.comments: dict[int, dict[str, Any]] = {}
        self.issues: dict[int, dict[str, Any]] = {}
        self.heads: dict[str, str] = {}  # branch → hash
        self.pulls: dict[int, dict[str, Any]] = {}
        self.permissions: dict[str, str] = {}
        self.oauth = OAuth(refuses_with=400)

    def app(self) -> Starlette:
        """To be served."""
        repository = "/api/v1/repos/{owner}/{repo}"
        routes: list[tuple[str, str, Callable[[Request, Any], Response]]] = [
            ("GET", "/api/v1/user", self._user),
            ("POST", f"{repository}/statuses/{{sha}}", self._make_status),
            ("GET", f"{repository}/statuses/{{sha}}", self._list_statuses),
            ("GET", f"{repository}/issues/{{number:int}}/comments", self._list_comments),
            ("POST", f"{repository}/issues/{{number:int}}/comments", self._make_comment),
            ("PATCH", f"{repository}/issues/comments/{{id:int}}", self._change_comment),
            ("GET", f"{repository}/issues", self._list_issues),
            ("POST", f"{repository}/issues", self._make_issue),
            ("PATCH", f"{repository}/issues/{{number:int}}", self._change_issue),
            ("GET", f"{repository}/branches/{{branch:path}}", self._branch),
            ("GET", f"{repository}/collaborators/{{login}}/permission", self._permission),
            ("GET", f"{repository}/pulls", self._list_pulls),
            ("GET", f"{repository}/pulls/{{number:int}}", self._pull),
        ]
        ours = [Route(path, self._endpoint(do), methods=[method]) for method, path, do in routes]
        return Starlette(routes=[*ours, *self.oauth.routes()])

    def _endpoint(self, do: Callable[[Request, Any], Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            body = json.loads(raw) if raw else None
            self.requests.append(f"{request.method} {request.url.path.removeprefix('/api/v1')}")
            self._check(request, body)
            theirs = request.url.path == "/api/v1/user" and self.oauth.login_of(request) is not None
            if not theirs and request.headers.get("authorization") != f"token {TOKEN}":
                return JSONResponse({"message": "token is required"}, 401)
            return answered(self.faults, request.method, lambda: do(request, body))

        return endpoint

    def _user(self, request: Request, body: Any) -> JSONResponse:
        theirs = self.oauth.login_of(request)
        return JSONResponse({"login": LOGIN if theirs is None else theirs})

    def _check(self, request: Request, body: Any) -> None:
        if body is None:
            return
        named = ("statuses", "comments", "issues")
        kind = next(each for each in named if f"/{each}" in request.url.path)
        unknown = set(body) - _FIELDS[kind]
        wrong = kind == "statuses" and (body.get("state") not in _STATES or len(body.get("description", "")) > 255)
        if unknown or wrong:
            self.problems.append(f"{self.requests[-1]}: {unknown or body}")

    def _page(self, request: Request, entries: list[dict[str, Any]]) -> JSONResponse:
        number = int(request.query_params.get("page", "1"))
        following = request.url.include_query_params(page=number + 1)
        headers = {"link": f'<{following}>; rel="next"'} if number * PAGE < len(entries) else {}
        return JSONResponse(entries[(number - 1) * PAGE : number * PAGE], headers=headers)

    def _make_status(self, request: Request, body: Any) -> JSONResponse:
        status = {"id": len(self.statuses) + 1, "sha": request.path_params["sha"], "status": body.pop("state"), **body}
        self.statuses.append(status)
        return JSONResponse(status, 201)

    def _list_statuses(self, request: Request, body: Any) -> JSONResponse:
        return self._page(
            request, [each for each in reversed(self.statuses) if each["sha"] == request.path_params["sha"]]
        )

    def mergeable(self, sha: str, required: str = "npu-kernel-farm") -> bool:
        """Whether branch protection that requires the context `required` lets a commit be merged. A draft never is."""
        pulls = [each for each in self.pulls.values() if each["head"]["sha"] == sha]
        is_draft = bool(pulls) and all(each["draft"] for each in pulls)
        return not is_draft and gitea_lets_merge([each for each in self.statuses if each["sha"] == sha], required)

    def _list_comments(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        return self._page(request, [each for each in self.comments.values() if each["number"] == number])

    def _make_comment(self, request: Request, body: Any) -> JSONResponse:
        return JSONResponse(self.add_comment(request.path_params["number"], LOGIN, body["body"]), 201)

    def add_comment(self, number: int, login: str, body: str) -> dict[str, Any]:
        """A comment of anybody."""
        comment = {"id": len(self.comments) + 1, "number": number, "body": body, "user": {"login": login}}
        self.comments[len(self.comments) + 1] = comment
        return comment

    def _change_comment(self, request: Request, body: Any) -> JSONResponse:
        self.comments[request.path_params["id"]]["body"] = body["body"]
        return JSONResponse(self.comments[request.path_params["id"]])

    def _list_issues(self, request: Request, body: Any) -> JSONResponse:
        by, state = request.query_params.get("created_by"), request.query_params.get("state", "open")
        mine = [each for each in self.issues.values() if by in (None, each["user"]["login"])]
        return self._page(request, [each for each in mine if state in ("all", each["state"])])

    def _make_issue(self, request: Request, body: Any) -> JSONResponse:
        return JSONResponse(self.add_issue(LOGIN, body["title"], body["body"]), 201)

    def add_issue(self, login: str, title: str, body: str) -> dict[str, Any]:
        """An issue of anybody."""
        number = len(self.issues) + 1
        self.issues[number] = {
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "user": {"login": login},
        }
        return self.issues[number]

    def _change_issue(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        if number not in self.issues:
            return JSONResponse({"message": "not found"}, 404)
        self.issues[number] |= body
        return JSONResponse(self.issues[number], 201)

    def _branch(self, request: Request, body: Any) -> JSONResponse:
        branch = request.path_params["branch"]
        if branch not in self.heads:
            return JSONResponse({"message": "not found"}, 404)
        return JSONResponse({"name": branch, "commit": {"id": self.heads[branch]}})

    def _permission(self, request: Request, body: Any) -> JSONResponse:
        login = request.path_params["login"]
        if login not in self.permissions:
            return JSONResponse({"message": "user does not exist"}, 404)
        return JSONResponse({"permission": self.permissions[login], "role_name": "", "user": {"login": login}})

    def _list_pulls(self, request: Request, body: Any) -> JSONResponse:
        return self._page(request, [each for each in self.pulls.values() if each["state"] == "open"])

    def _pull(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        known = number in self.pulls
        return JSONResponse(self.pulls[number] if known else {"message": "not found"}, 200 if known else 404)
