"""A Gitee or GitCode that takes no field its API does not document, and keeps labels, comments and issues.

The two differ as their published answers do: GitCode's new comments have a hash and a `note_id`, its branches an `id`
where Gitee's have a `sha`, its permissions are "pull" and "push", its states of issues verbs, its labels' colours have
a "#", and it puts no label on a pull request that the repository does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.github_api import LOGIN, TOKEN, Fault, answered
from tests.fakes.pulls import pull, sha

_FIELDS = {"comments": {"body", "path", "position"}, "issues": {"repo", "title", "body", "state"}}
_STATES = {"gitee": {"open": "open", "closed": "closed"}, "gitcode": {"reopen": "open", "close": "closed"}}
_PERMISSIONS = {"write": "push", "read": "pull"}  # GitCode's words
_STATE_OF_LABEL = {"npu-farm-waiting": "pending", "npu-farm-passed": "success", "npu-farm-failed": "failure"}


class ApiV5:
    """The state of one; serve it below `/api/v5`. `kind` is "gitee" or "gitcode"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.login = LOGIN
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.comments: dict[int, dict[str, Any]] = {}
        self.issues: dict[int, dict[str, Any]] = {}
        self.heads: dict[str, str] = {"main": sha(1)}  # branch → hash
        self.pulls: dict[int, dict[str, Any]] = {3: pull(3, 3)}
        self.labels: dict[int, list[str]] = {3: ["reviewed"]}  # of pull requests
        self.known_labels: set[str] = {"reviewed"}  # of the repository
        self.permissions: dict[str, str] = {}
        self.labelled: Callable[[str], None] = lambda label: None  # called after each label of a pull request

    @property
    def statuses(self) -> list[dict[str, Any]]:
        """Our labels of pull requests, in the words of the forges with commit statuses."""
        ours = [each for labels in self.labels.values() for each in labels if each.startswith("npu-farm-")]
        return [{"status": _STATE_OF_LABEL.get(each, each)} for each in ours]

    def app(self) -> Starlette:
        """To be served."""
        repository = "/api/v5/repos/{owner}/{repo}"
        pulls = f"{repository}/pulls"
        routes: list[tuple[str, str, Callable[[Request, Any], Response]]] = [
            ("GET", "/api/v5/user", lambda request, body: JSONResponse({"login": LOGIN, "id": "a1"})),
            ("GET", f"{repository}/labels", self._list_labels),
            ("POST", f"{repository}/labels", self._make_label),
            ("GET", f"{repository}/branches/{{branch:path}}", self._branch),
            ("GET", f"{repository}/collaborators/{{login}}/permission", self._permission),
            ("GET", f"{repository}/issues", self._list_issues),
            ("POST", "/api/v5/repos/{owner}/issues", self._make_issue),
            ("PATCH", "/api/v5/repos/{owner}/issues/{number}", self._change_issue),
            ("PATCH", f"{pulls}/comments/{{id:int}}", self._change_comment),
            ("GET", pulls, self._list_pulls),
            ("GET", f"{pulls}/{{number:int}}", self._pull),
            ("GET", f"{pulls}/{{number:int}}/comments", self._list_comments),
            ("POST", f"{pulls}/{{number:int}}/comments", self._make_comment),
            ("GET", f"{pulls}/{{number:int}}/labels", self._list_labels_of_pull),
            ("POST", f"{pulls}/{{number:int}}/labels", self._label_pull),
            ("DELETE", f"{pulls}/{{number:int}}/labels/{{name}}", self._unlabel_pull),
        ]
        return Starlette(routes=[Route(path, self._endpoint(do), methods=[method]) for method, path, do in routes])

    def _endpoint(self, do: Callable[[Request, Any], Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            is_form = request.headers.get("content-type", "") == "application/x-www-form-urlencoded"
            body = None if not raw else parse_qs(raw.decode()) if is_form else json.loads(raw)
            self.requests.append(f"{request.method} {request.url.path.removeprefix('/api/v5')}")
            self._check(request, body, is_form)
            if request.headers.get("authorization") != f"Bearer {TOKEN}" or "access_token" in request.query_params:
                return JSONResponse({"message": "401 Unauthorized"}, 401)
            return answered(self.faults, request.method, lambda: do(request, body))

        return endpoint

    def _check(self, request: Request, body: Any, is_form: bool) -> None:
        if body is None:
            return
        path = request.url.path
        if path.endswith("/labels"):
            right = isinstance(body, list) if "/pulls/" in path else is_form and set(body) == {"name", "color"}
        else:
            kind = next(each for each in _FIELDS if f"/{each}" in path)
            right = not is_form and not set(body) - _FIELDS[kind]
        if not right:
            self.problems.append(f"{self.requests[-1]}: {body}")

    def _page(self, request: Request, entries: list[Any]) -> JSONResponse:
        number = int(request.query_params.get("page", "1"))
        size = min(int(request.query_params.get("per_page", "20")), 100)
        return JSONResponse(entries[(number - 1) * size : number * size])

    def _list_labels(self, request: Request, body: Any) -> JSONResponse:
        return self._page(request, [{"id": 1, "name": each, "color": "#fff"} for each in sorted(self.known_labels)])

    def _make_label(self, request: Request, body: Any) -> JSONResponse:
        name, colour = body["name"][0], body["color"][0]
        if name in self.known_labels or colour.startswith("#") is not (self.kind == "gitcode") or len(name) > 20:
            self.problems.append(f"a label {name} {colour}")
        self.known_labels.add(name)
        return JSONResponse({"id": 1, "name": name, "color": colour}, 201)

    def _list_labels_of_pull(self, request: Request, body: Any) -> JSONResponse:
        found = self.labels.get(request.path_params["number"], [])
        return self._page(request, [{"id": 1, "name": each} for each in found])

    def _label_pull(self, request: Request, body: Any) -> JSONResponse:
        if self.kind == "gitcode" and not self.known_labels.issuperset(body):
            return JSONResponse({"error_message": "label not found"}, 404)
        found = self.labels.setdefault(request.path_params["number"], [])
        found += [each for each in body if each not in found]
        for each in body:
            self.labelled(each)
        return JSONResponse([{"id": 1, "name": each} for each in found], 201)

    def _unlabel_pull(self, request: Request, body: Any) -> Response:
        found = self.labels.get(request.path_params["number"], [])
        if request.path_params["name"] not in found:
            return JSONResponse({"message": "404 Not Found"}, 404)
        found.remove(request.path_params["name"])
        return Response(status_code=204)

    def _list_comments(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        return self._page(request, [each for each in self.comments.values() if each["number"] == number])

    def _make_comment(self, request: Request, body: Any) -> JSONResponse:
        made = self.add_comment(request.path_params["number"], LOGIN, body["body"])
        gitcode = {"id": f"{made['id']:040x}", "note_id": made["id"], "body": made["body"]}
        return JSONResponse(made if self.kind == "gitee" else gitcode, 201)

    def add_comment(self, number: int, login: str, body: str) -> dict[str, Any]:
        """A comment of anybody."""
        comment = {"id": len(self.comments) + 1, "number": number, "body": body, "user": {"login": login, "id": "b"}}
        self.comments[len(self.comments) + 1] = comment
        return comment

    def _change_comment(self, request: Request, body: Any) -> JSONResponse:
        found = self.comments[request.path_params["id"]]
        found["body"] = body["body"]
        return JSONResponse(found if self.kind == "gitee" else {})

    def _list_issues(self, request: Request, body: Any) -> JSONResponse:
        by, state = request.query_params.get("creator"), request.query_params.get("state", "open")
        mine = [each for each in self.issues.values() if by in (None, each["user"]["login"])]
        return self._page(request, [_issue(each) for each in mine if state in ("all", each["state"])])

    def _make_issue(self, request: Request, body: Any) -> JSONResponse:
        if body.get("repo") != "kernels":
            self.problems.append(f"an issue of {body.get('repo')}")
        return JSONResponse(_issue(self.add_issue(LOGIN, body["title"], body["body"])), 201)

    def add_issue(self, login: str, title: str, body: str) -> dict[str, Any]:
        """An issue of anybody."""
        number = len(self.issues) + 1
        self.issues[number] = {"number": number, "title": title, "body": body, "state": "open"}
        self.issues[number]["user"] = {"login": login}
        return self.issues[number]

    def _change_issue(self, request: Request, body: Any) -> JSONResponse:
        found = self.issues.get(int(request.path_params["number"]))
        if found is None:
            return JSONResponse({"message": "404 Not Found"}, 404)
        found |= {"title": body["title"], "body": body["body"], "state": _STATES[self.kind][body["state"]]}
        return JSONResponse(_issue(found))

    def _branch(self, request: Request, body: Any) -> JSONResponse:
        branch = request.path_params["branch"]
        if branch not in self.heads:
            return JSONResponse({"message": "404 Branch Not Found"}, 404)
        key = "sha" if self.kind == "gitee" else "id"
        return JSONResponse({"name": branch, "commit": {key: self.heads[branch]}})

    def _permission(self, request: Request, body: Any) -> JSONResponse:
        login = request.path_params["login"]
        if login not in self.permissions:
            return JSONResponse({"message": "404 Not Found"}, 404)
        given = self.permissions[login]
        word = given if self.kind == "gitee" else _PERMISSIONS.get(given, given)
        return JSONResponse({"id": "1", "login": login, "permission": word})

    def _list_pulls(self, request: Request, body: Any) -> JSONResponse:
        state = request.query_params.get("state", "all")
        return self._page(request, [_shown(each) for each in self.pulls.values() if state in ("all", each["state"])])

    def _pull(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        if number not in self.pulls:
            return JSONResponse({"message": "404 Not Found"}, 404)
        return JSONResponse(_shown(self.pulls[number]))


def _issue(issue: dict[str, Any]) -> dict[str, Any]:
    return {**issue, "number": str(issue["number"])}


def _shown(given: dict[str, Any]) -> dict[str, Any]:
    """With the repositories' names as some answers have them: for people, and the same for a fork."""
    sides = {}
    for side in ("head", "base"):
        repository = given[side]["repo"]
        shown = repository and {"full_name": "Octo Org/Kernels", "html_url": f"https://x/{repository['full_name']}"}
        sides[side] = {**given[side], "repo": shown}
    return {**given, **sides}
