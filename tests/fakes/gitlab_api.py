"""A GitLab that takes no field its API does not document, and keeps commit statuses by GitLab's own rules.

The rules are those of its `Ci::CreateCommitStatusService`: a status that waits is updated, one that is over is followed
by a new one, and a waiting one cannot return to the same or an earlier state.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.github_api import LOGIN, PAGE, TOKEN, Fault, answered
from tests.fakes.pulls import sha

_FIELDS = {
    "statuses": {"state", "ref", "name", "context", "target_url", "description", "coverage", "pipeline_id"},
    "notes": {"body"},
    "issues": {"title", "description", "state_event"},
}
_STATES = ("pending", "running", "success", "failed", "canceled", "skipped")
_LEVELS = {"admin": 50, "maintain": 40, "write": 30, "read": 20}
_IDS = {LOGIN: 1}
_PROJECT_ID = 15
_FORK_ID = 16


class GitLabApi:
    """The state of a GitLab; serve it below `/api/v4`. What it keeps has the form of the other forges' fakes."""

    def __init__(self) -> None:
        self.login = LOGIN
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.statuses: list[dict[str, Any]] = []
        self.comments: dict[int, dict[str, Any]] = {}
        self.issues: dict[int, dict[str, Any]] = {}
        self.heads: dict[str, str] = {"main": sha(1)}  # branch → hash
        self.pulls: dict[int, dict[str, Any]] = {}
        self.permissions: dict[str, str] = {}
        self.blocked: set[str] = set()  # members whose account is blocked
        self.has_pipeline = False  # for every commit

    def app(self) -> Starlette:
        """To be served."""
        project = "/api/v4/projects/{owner}/{repo}"
        commit = f"{project}/repository/commits/{{sha}}"
        notes = f"{project}/merge_requests/{{number:int}}/notes"
        routes: list[tuple[str, str, Callable[[Request, Any], Response]]] = [
            ("GET", "/api/v4/user", lambda request, body: JSONResponse(_user(LOGIN))),
            ("GET", "/api/v4/users", self._users),
            ("POST", f"{project}/statuses/{{sha}}", self._make_status),
            ("GET", commit, self._commit),
            ("GET", f"{commit}/statuses", self._list_statuses),
            ("GET", f"{commit}/merge_requests", self._of_commit),
            ("GET", notes, self._list_notes),
            ("POST", notes, self._make_note),
            ("PUT", f"{notes}/{{id:int}}", self._change_note),
            ("GET", f"{project}/issues", self._list_issues),
            ("POST", f"{project}/issues", self._make_issue),
            ("PUT", f"{project}/issues/{{number:int}}", self._change_issue),
            ("GET", f"{project}/repository/branches/{{branch:path}}", self._branch),
            ("GET", f"{project}/members/all/{{id:int}}", self._member),
            ("GET", f"{project}/merge_requests", self._list_merge_requests),
            ("GET", f"{project}/merge_requests/{{number:int}}", self._merge_request),
        ]
        return Starlette(routes=[Route(path, self._endpoint(do), methods=[method]) for method, path, do in routes])

    def _endpoint(self, do: Callable[[Request, Any], Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            body = json.loads(raw) if raw else None
            self.requests.append(f"{request.method} {request.url.path.removeprefix('/api/v4')}")
            self._check(request, body)
            if request.headers.get("private-token") != TOKEN:
                return JSONResponse({"message": "401 Unauthorized"}, 401)
            return answered(self.faults, request.method, lambda: do(request, body))

        return endpoint

    def _check(self, request: Request, body: Any) -> None:
        path = request.scope["raw_path"].decode()
        if "/projects/" in path and "/projects/octo-org%2Fkernels" not in path:
            self.problems.append(f"{path}: the project's path is not one part")
        if body is None:
            return
        kind = next(each for each in _FIELDS if f"/{each}" in path)
        unknown = set(body) - _FIELDS[kind]
        wrong = kind == "statuses" and (body.get("state") not in _STATES or len(body.get("target_url", "")) > 255)
        if unknown or wrong:
            self.problems.append(f"{self.requests[-1]}: {unknown or body}")

    def _page(self, request: Request, entries: list[Any]) -> JSONResponse:
        number = int(request.query_params.get("page", "1"))
        query = request.url.include_query_params(page=number + 1).query
        following = f"{request.base_url}{request.scope['raw_path'].decode().lstrip('/')}?{query}"
        headers = {"link": f'<{following}>; rel="next"'} if number * PAGE < len(entries) else {}
        return JSONResponse(entries[(number - 1) * PAGE : number * PAGE], headers=headers)

    def _make_status(self, request: Request, body: Any) -> JSONResponse:
        commit, state = request.path_params["sha"], body.pop("state")
        waiting = [
            each
            for each in self.statuses
            if (each["sha"], each["name"]) == (commit, body["name"]) and each["status"] in ("pending", "running")
        ]
        before = waiting[-1]["status"] if waiting else "created"
        if (state == "pending" and waiting) or (state == before == "running"):
            return JSONResponse({"message": f"Cannot transition status from :{before}"}, 400)
        if not waiting:
            waiting = [{"id": len(self.statuses) + 1, "sha": commit, "ref": None}]
            self.statuses += waiting
        waiting[-1] |= {**body, "status": state}
        return JSONResponse(waiting[-1], 201)

    def _commit(self, request: Request, body: Any) -> JSONResponse:
        commit = request.path_params["sha"]
        known = self.has_pipeline or any(each["sha"] == commit for each in self.statuses)
        return JSONResponse({"id": commit, "last_pipeline": {"id": 3, "ref": "x"} if known else None})

    def _list_statuses(self, request: Request, body: Any) -> JSONResponse:
        commit, name = request.path_params["sha"], request.query_params.get("name")
        found = [each for each in self.statuses if each["sha"] == commit and name in (None, each["name"])]
        return self._page(request, found)

    def _of_commit(self, request: Request, body: Any) -> JSONResponse:
        return self._page(request, [_merge_request(each) for each in self.pulls.values() if each["state"] == "open"])

    def _list_notes(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        return self._page(request, [_note(each) for each in self.comments.values() if each["number"] == number])

    def _make_note(self, request: Request, body: Any) -> JSONResponse:
        return JSONResponse(_note(self.add_comment(request.path_params["number"], LOGIN, body["body"])), 201)

    def add_comment(self, number: int, login: str, body: str) -> dict[str, Any]:
        """A comment of anybody."""
        comment = {"id": len(self.comments) + 1, "number": number, "body": body, "user": {"login": login}}
        self.comments[len(self.comments) + 1] = comment
        return comment

    def _change_note(self, request: Request, body: Any) -> JSONResponse:
        self.comments[request.path_params["id"]]["body"] = body["body"]
        return JSONResponse(_note(self.comments[request.path_params["id"]]))

    def _list_issues(self, request: Request, body: Any) -> JSONResponse:
        by, scope = request.query_params.get("author_username"), request.query_params.get("scope")
        mine = [each for each in self.issues.values() if scope == "all" and by in (None, each["user"]["login"])]
        return self._page(request, [_issue(each) for each in mine])

    def _make_issue(self, request: Request, body: Any) -> JSONResponse:
        return JSONResponse(_issue(self.add_issue(LOGIN, body["title"], body["description"])), 201)

    def add_issue(self, login: str, title: str, body: str) -> dict[str, Any]:
        """An issue of anybody."""
        number = len(self.issues) + 1
        self.issues[number] = {"number": number, "title": title, "body": body, "state": "open"}
        self.issues[number]["user"] = {"login": login}
        return self.issues[number]

    def _change_issue(self, request: Request, body: Any) -> JSONResponse:
        found = self.issues.get(request.path_params["number"])
        if found is None:
            return JSONResponse({"message": "404 Not found"}, 404)
        states = {"close": "closed", "reopen": "open"}
        found["title"] = body.get("title", found["title"])
        found["body"] = body.get("description", found["body"])
        found["state"] = states.get(body.get("state_event", ""), found["state"])
        return JSONResponse(_issue(found))

    def _branch(self, request: Request, body: Any) -> JSONResponse:
        branch = request.path_params["branch"]
        if branch not in self.heads:
            return JSONResponse({"message": "404 Branch Not Found"}, 404)
        return JSONResponse({"name": branch, "commit": {"id": self.heads[branch]}})

    def _users(self, request: Request, body: Any) -> JSONResponse:
        login = request.query_params["username"]
        return JSONResponse([_user(login)] if login in {*self.permissions, "stranger"} else [])

    def _member(self, request: Request, body: Any) -> JSONResponse:
        login = next(name for name, number in _IDS.items() if number == request.path_params["id"])
        if login not in self.permissions:
            return JSONResponse({"message": "404 Not found"}, 404)
        state = "blocked" if login in self.blocked else "active"
        return JSONResponse({**_user(login), "state": state, "access_level": _LEVELS[self.permissions[login]]})

    def _list_merge_requests(self, request: Request, body: Any) -> JSONResponse:
        return self._of_commit(request, body)

    def _merge_request(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        if number not in self.pulls:
            return JSONResponse({"message": "404 Not found"}, 404)
        return JSONResponse(_merge_request(self.pulls[number]))


def _user(login: str) -> dict[str, Any]:
    return {"id": _IDS.setdefault(login, len(_IDS) + 1), "username": login, "name": login}


def _note(comment: dict[str, Any]) -> dict[str, Any]:
    author = _user(comment["user"]["login"])
    return {"id": comment["id"], "body": comment["body"], "author": author, "system": False}


def _issue(issue: dict[str, Any]) -> dict[str, Any]:
    state = {"open": "opened"}.get(issue["state"], issue["state"])
    author = _user(issue["user"]["login"])
    return {
        "iid": issue["number"],
        "title": issue["title"],
        "description": issue["body"],
        "state": state,
        "author": author,
    }


def _merge_request(pull: dict[str, Any]) -> dict[str, Any]:
    is_of_fork = pull["head"]["repo"]["full_name"] != pull["base"]["repo"]["full_name"]
    return {
        "iid": pull["number"],
        "state": {"open": "opened"}.get(pull["state"], pull["state"]),
        "sha": pull["head"]["sha"],
        "draft": pull["draft"],
        "source_branch": pull["head"]["ref"],
        "target_branch": pull["base"]["ref"],
        "source_project_id": _FORK_ID if is_of_fork else _PROJECT_ID,
        "target_project_id": _PROJECT_ID,
        "author": _user(pull["user"]["login"]),
    }
