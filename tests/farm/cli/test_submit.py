"""`farm run --server`: what is asked of a service, and which commits a person's names for them are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from farm.cli.app import main
from tests.fakes.commits import Commits
from tests.fakes.served import served
from tests.farm import samples

TOKEN = "farm_a-token"


class Service:
    """A service that has every commit's answer at once, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self.targets: list[dict[str, Any]] = []
        self.record = samples.from_commit(rule_changes=samples.CHANGED, base=samples.merge_base())

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/jobs", self._submit, methods=["POST"]),
                Route("/api/v1/jobs/{id}", lambda request: JSONResponse(self._job("done", "passed"))),
                Route("/api/v1/jobs/{id}/log", lambda request: PlainTextResponse("it was run\n")),
                Route("/api/v1/runs/{id}", lambda request: PlainTextResponse(self.record.model_dump_json())),
            ]
        )

    async def _submit(self, request: Request) -> Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        self.asked.append(await request.json())
        return JSONResponse(self._job("queued", None), 201)

    def _job(self, state: str, verdict: str | None) -> dict[str, Any]:
        job = {"id": "ab" * 16, "state": state, "verdict": verdict, "reason": "all passed", "run_id": "a-run"}
        return {**job, "targets": self.targets}

    def run(self, *words: str) -> Result:
        command = ["run", "--server", self.url, "--repository", "octo-org/kernels", *words]
        return CliRunner().invoke(main, command, env={**os.environ, "FARM_TOKEN": TOKEN})


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    with served(made.app()) as url:
        made.url = url
        yield made


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commits:
    """A repository around the command: main with two commits, a branch of one more, and a tag on the first."""
    made = Commits(tmp_path / "repository")
    made.commit()
    made.git("tag", "--annotate", "--message", "a release", "v1")
    made.commit()
    made.git("switch", "--quiet", "--create", "faster")
    made.commit()
    monkeypatch.chdir(made.path)
    return made


def test_a_commit_and_its_base_are_submitted_by_their_whole_hashes(service: Service, commits: Commits) -> None:
    done = service.run("--commit", commits.ids[2], "--base", commits.ids[0])

    assert done.exit_code == 0, done.output
    assert service.asked == [
        {
            "forge": "github",
            "repository": "octo-org/kernels",
            "commit": commits.ids[2],
            "base": commits.ids[0],
            "cases": [],
            "targets": [],
            "devices": None,
        }
    ]


@pytest.mark.parametrize(
    ("words", "head", "base"),
    [
        ([], 2, None),
        (["--commit", "main"], 1, None),
        (["--commit", "HEAD~1", "--base", "v1"], 1, 0),
        (["--base", "main"], 2, 1),
    ],
)
def test_names_are_those_of_the_repository_around(
    service: Service, commits: Commits, words: list[str], head: int, base: int | None
) -> None:
    service.run(*words)

    (asked,) = service.asked
    assert (asked["commit"], asked["base"]) == (commits.ids[head], None if base is None else commits.ids[base])


def test_a_whole_hash_need_not_be_here(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = service.run("--commit", "c" * 40, "--base", "d" * 64, "--case", "tiny", "--case", "flash-s1", "-n", "5")

    assert done.exit_code == 0, done.output
    (asked,) = service.asked
    assert (asked["commit"], asked["base"]) == ("c" * 40, "d" * 64)
    assert (asked["cases"], asked["devices"]) == (["tiny", "flash-s1"], 5)


def test_targets_of_the_repository_are_submitted_by_their_names(service: Service, commits: Commits) -> None:
    done = service.run("--target", "qkv_proj_rope", "--target", "models")

    assert done.exit_code == 0, done.output
    assert service.asked[0]["targets"] == ["qkv_proj_rope", "models"]


def test_the_verdict_of_each_target_is_printed_where_there_are_several(service: Service, commits: Commits) -> None:
    done = {"name": "qkv_proj_rope", "state": "done", "verdict": "failed", "reason": "slower", "run_id": "r1"}
    service.targets = [done, {"name": "models", "state": "waiting", "verdict": None, "reason": "", "run_id": ""}]

    shown = service.run().stderr

    assert "target qkv_proj_rope failed: slower (run r1)\ntarget models waiting:" in shown


def test_a_target_without_a_service_is_refused() -> None:
    done = CliRunner().invoke(main, ["run", "--target", "models"])

    assert done.exit_code == 2
    assert "--target" in done.stderr and "--server URL" in done.stderr


@pytest.mark.parametrize("option", ["--commit", "--base"])
@pytest.mark.parametrize("name", ["no-such-branch", "--output=/tmp/x", "v1^{tree}", "a b", "c" * 39])
def test_a_name_that_is_no_commit_is_refused_before_anything_is_submitted(
    service: Service, commits: Commits, option: str, name: str
) -> None:
    done = service.run(f"{option}={name}")

    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("farm: ") or "Error" in done.stderr
    assert name in done.stderr
    assert service.asked == []


def test_a_name_outside_any_repository_is_refused(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = service.run("--base", "main", "--commit", "c" * 40)

    assert (done.exit_code, service.asked) == (2, [])
    assert "there is no commit 'main' here" in done.stderr


@pytest.mark.parametrize("words", [["--source", "."], ["--require-sandbox"], ["--seed", "4"], ["--platform", "a2a3"]])
def test_what_the_service_decides_is_not_submitted_with_a_commit(
    service: Service, commits: Commits, words: list[str]
) -> None:
    done = service.run("--commit", "main", *words)

    assert (done.exit_code, service.asked) == (2, [])
    assert "leave it out" in done.stderr


def test_the_summary_tells_of_rules_isolation_and_merge_base(service: Service, commits: Commits) -> None:
    done = service.run("--base", "main")

    words = " ".join(done.stdout.split())
    assert "merge base better or equal: 76.64 µs against 76.64 µs" in words
    assert "changes the rules: kernel/qkv_proj_rope/golden.py" in words
    assert "isolation bubblewrap" in words
    assert "it was run" in done.stderr
    assert TOKEN not in done.output
