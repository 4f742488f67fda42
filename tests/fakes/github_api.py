"""A GitHub that holds every request to GitHub's published description, and remembers what it was told."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.branch_protection import github_lets_merge
from tests.fakes.oauth import OAuth
from tests.fakes.openapi_answers import Description

DESCRIPTION = Path(__file__).parent.parent / "data" / "github" / "openapi.json"
TOKEN = "ghp_token_of_the_tests"
LOGIN = "farm-bot"
APP_ID = 4711
_LEGACY = {"maintain": "write", "triage": "read"}  # the names older than these roles
PAGE = 3  # entries; small, so that every list of a test has several pages


@functools.cache
def _description() -> Description:
    """Read once; checking the description itself takes half a second."""
    return Description(json.loads(DESCRIPTION.read_text()))


@dataclass
class Fault:
    """What happens to one request instead of its answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    applied: bool = False  # the work is done all the same, and only the answer is lost
    method: str = ""  # of the requests it waits for; "" for any


def answered(faults: list[Fault], method: str, do: Callable[[], Response]) -> Response:
    """What `do` answers, or the first of `faults` that waits for a request of this method, which is then over."""
    fault = next((each for each in faults if each.method in ("", method)), None)
    if fault is None:
        return do()
    faults.remove(fault)
    if not fault.applied:
        return JSONResponse({"message": "the fake's fault"}, fault.status, fault.headers)
    do()
    return JSONResponse({"message": "lost"}, fault.status, fault.headers)


class GitHubApi:
    """The state of a GitHub. `public_key` is the App's, where the farm is one."""

    def __init__(self, public_key: str = "") -> None:
        self._description = _description()
        self._public_key = public_key
        self._tokens: set[str] = set()
        self.login = f"{LOGIN}[bot]" if public_key else LOGIN
        self.problems: list[str] = []  # requests that GitHub would not understand
        self.requests: list[str] = []  # "POST /repos/…"
        self.faults: list[Fault] = []
        self.checks: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.issues: dict[int, dict[str, Any]] = {}
        self.heads: dict[str, str] = {}  # branch → hash
        self.pulls: dict[int, dict[str, Any]] = {}
        self.permissions: dict[str, str] = {}
        self.deliveries: list[dict[str, Any]] = []
        self.redelivered: list[int] = []
        self.hook_url = ""
        self.oauth = OAuth(refuses_with=200)

    def app(self) -> Starlette:
        """To be served."""
        repository = "/repos/{owner}/{repo}"
        routes: list[tuple[str, str, Callable[[Request, Any], JSONResponse | Response]]] = [
            ("GET", "/app", lambda request, body: self._say(request, 200, {"slug": LOGIN})),
            ("GET", "/user", self._user),
            ("POST", "/app/installations/{id}/access_tokens", self._token),
            ("GET", f"{repository}/installation", lambda request, body: self._say(request, 200, {"id": 99})),
            ("POST", f"{repository}/check-runs", self._make_check),
            ("PATCH", f"{repository}/check-runs/{{id:int}}", self._change_check),
            ("GET", f"{repository}/commits/{{ref}}/check-runs", self._list_checks),
            ("GET", f"{repository}/issues/{{number:int}}/comments", self._list_comments),
            ("POST", f"{repository}/issues/{{number:int}}/comments", self._make_comment),
            ("PATCH", f"{repository}/issues/comments/{{id:int}}", self._change_comment),
            ("GET", f"{repository}/issues", self._list_issues),
            ("POST", f"{repository}/issues", self._make_issue),
            ("PATCH", f"{repository}/issues/{{number:int}}", self._change_issue),
            ("GET", f"{repository}/branches/{{branch}}", self._branch),
            ("GET", f"{repository}/collaborators/{{login}}/permission", self._permission),
            ("GET", f"{repository}/pulls", self._list_pulls),
            ("GET", f"{repository}/pulls/{{number:int}}", self._pull),
            ("GET", "/app/hook/deliveries", lambda request, body: self._page(request, self.deliveries)),
            ("POST", "/app/hook/deliveries/{id:int}/attempts", self._redeliver),
            ("GET", f"{repository}/hooks", self._hooks),
            ("GET", f"{repository}/hooks/5/deliveries", lambda request, body: self._page(request, self.deliveries)),
            ("POST", f"{repository}/hooks/5/deliveries/{{id:int}}/attempts", self._redeliver),
        ]
        ours = [Route(path, self._endpoint(do), methods=[method]) for method, path, do in routes]
        return Starlette(routes=[*ours, *self.oauth.routes()])

    def _endpoint(self, do: Callable[[Request, Any], JSONResponse | Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            self.requests.append(f"{request.method} {request.url.path}")
            problems = self._description.request_problems(request, body)
            self.problems += [f"{self.requests[-1]}: {problem}" for problem in problems]
            if problems:
                return JSONResponse({"message": "; ".join(problems)}, 422)
            if not self._signed_in(request):
                return JSONResponse({"message": "Bad credentials"}, 401)
            content = json.loads(body) if body else None
            return answered(self.faults, request.method, lambda: do(request, content))

        return endpoint

    def _signed_in(self, request: Request) -> bool:
        if request.url.path == "/user" and self.oauth.login_of(request) is not None:  # good for nothing else
            return True
        kind, _, credential = request.headers.get("authorization", "").partition(" ")
        if not self._public_key:
            return kind.lower() in ("token", "bearer") and credential == TOKEN
        as_app = request.url.path.startswith("/app") or request.url.path.endswith("/installation")
        if not as_app:
            return credential in self._tokens
        claims = jwt.decode(credential, self._public_key, algorithms=["RS256"])
        return bool(claims["iss"] == str(APP_ID) and claims["exp"] - claims["iat"] <= 600)

    def _say(self, request: Request, status: int, given: Any, headers: dict[str, str] | None = None) -> JSONResponse:
        return self._description.answer(request, status, given, headers)

    def _page(self, request: Request, entries: list[dict[str, Any]], inside: str = "") -> JSONResponse:
        number = int(request.query_params.get("page", request.query_params.get("cursor", "1")))
        shown = entries[(number - 1) * PAGE : number * PAGE]
        following = request.url.include_query_params(**{"cursor" if "hook" in request.url.path else "page": number + 1})
        headers = {"link": f'<{following}>; rel="next"'} if number * PAGE < len(entries) else {}
        given: Any = {"total_count": len(entries), inside: shown} if inside else shown
        return self._say(request, 200, given, headers)

    def _user(self, request: Request, body: Any) -> JSONResponse:
        theirs = self.oauth.login_of(request)
        login = LOGIN if theirs is None else theirs
        return self._say(request, 200, {"login": login, "user_view_type": "private"})

    def _token(self, request: Request, body: Any) -> JSONResponse:
        token = f"ghs_{len(self._tokens)}"
        self._tokens.add(token)
        return self._say(request, 201, {"token": token, "expires_at": "2099-01-01T00:00:00Z"})

    def _make_check(self, request: Request, body: Any) -> JSONResponse:
        number = len(self.checks) + 1
        self.checks[number] = {"id": number, "status": "queued", "conclusion": None, "annotations": []}
        self._tell(number, body)
        return self._say(request, 201, self._shown(number))

    def _change_check(self, request: Request, body: Any) -> JSONResponse:
        self._tell(request.path_params["id"], body)
        return self._say(request, 200, self._shown(request.path_params["id"]))

    def _tell(self, number: int, body: dict[str, Any]) -> None:
        output = body.get("output", {})
        self.checks[number]["annotations"] += output.pop("annotations", [])  # GitHub adds, it does not replace
        self.checks[number] |= body

    def _shown(self, number: int) -> dict[str, Any]:
        check = self.checks[number]
        output = {**check["output"], "annotations_count": len(check["annotations"]), "text": None}
        kept = {key: check[key] for key in ("id", "head_sha", "status", "conclusion", "external_id", "name")}
        return {**kept, "output": output, "pull_requests": []}

    def _list_checks(self, request: Request, body: Any) -> JSONResponse:
        query = request.query_params
        fitting = [number for number, check in self.checks.items() if check["head_sha"] == request.path_params["ref"]]
        fitting = [number for number in fitting if self.checks[number]["name"] == query.get("check_name")]
        fitting = fitting if query.get("filter") == "all" else fitting[-1:]
        return self._page(request, [self._shown(number) for number in reversed(fitting)], "check_runs")

    def mergeable(self, sha: str, required: str = "npu-kernel-farm") -> bool:
        """Whether branch protection that requires the check `required` lets a commit be merged."""
        return github_lets_merge([each for each in self.checks.values() if each["head_sha"] == sha], required)

    def _list_comments(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        return self._page(request, [each for each in self.comments.values() if each["number"] == number])

    def _make_comment(self, request: Request, body: Any) -> JSONResponse:
        return self._say(request, 201, self.add_comment(request.path_params["number"], self.login, body["body"]))

    def add_comment(self, number: int, login: str, body: str) -> dict[str, Any]:
        """A comment of anybody."""
        comment = {"id": len(self.comments) + 1, "number": number, "body": body, "user": {"login": login}}
        self.comments[len(self.comments) + 1] = comment
        return comment

    def _change_comment(self, request: Request, body: Any) -> JSONResponse:
        self.comments[request.path_params["id"]]["body"] = body["body"]
        return self._say(request, 200, self.comments[request.path_params["id"]])

    def _list_issues(self, request: Request, body: Any) -> JSONResponse:
        creator = request.query_params.get("creator")
        mine = [each for each in self.issues.values() if creator in (None, each["user"]["login"])]
        state = request.query_params.get("state", "open")
        return self._page(request, [each for each in mine if state in ("all", each["state"])])

    def _make_issue(self, request: Request, body: Any) -> JSONResponse:
        return self._say(request, 201, self.add_issue(self.login, body["title"], body["body"]))

    def add_issue(self, login: str, title: str, body: str) -> dict[str, Any]:
        """An issue of anybody."""
        number = len(self.issues) + 1
        self.issues[number] = {
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "user": {"login": login},
            "labels": [],
        }
        return self.issues[number]

    def _change_issue(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        if number not in self.issues:
            return self._say(request, 410, {"message": "This issue was deleted"})
        self.issues[number] |= body
        return self._say(request, 200, self.issues[number])

    def _branch(self, request: Request, body: Any) -> JSONResponse:
        branch = request.path_params["branch"]
        if branch not in self.heads:
            return self._say(request, 404, {"message": "Branch not found"})
        return self._say(request, 200, {"name": branch, "commit": {"sha": self.heads[branch]}})

    def _permission(self, request: Request, body: Any) -> JSONResponse:
        login = request.path_params["login"]
        if login not in self.permissions:
            return self._say(request, 404, {"message": "Not Found"})
        role = self.permissions[login]
        given = {"permission": _LEGACY.get(role, role), "role_name": role, "user": {"login": login}}
        return self._say(request, 200, given)

    def _list_pulls(self, request: Request, body: Any) -> JSONResponse:
        name = "{owner}/{repo}".format(**request.path_params)
        mine = [each for each in self.pulls.values() if each["base"]["repo"]["full_name"] == name]
        return self._page(request, [each for each in mine if each["state"] == "open"])

    def _pull(self, request: Request, body: Any) -> JSONResponse:
        number = request.path_params["number"]
        if number not in self.pulls:
            return self._say(request, 404, {"message": "Not Found"})
        return self._say(request, 200, self.pulls[number])

    def _hooks(self, request: Request, body: Any) -> JSONResponse:
        hooks = [{"id": 4, "config": {"url": "https://example.org/other"}}, {"id": 5, "config": {"url": self.hook_url}}]
        return self._page(request, hooks)

    def _redeliver(self, request: Request, body: Any) -> JSONResponse:
        self.redelivered.append(request.path_params["id"])
        return self._say(request, 202, {})
