"""`farm notify`: a trial through every channel, and what came of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from farm.cli import app
from tests.ci.configuration import ENVIRONMENT, TEXT
from tests.fakes.served import served

CHANNELS = """
[[notify]]
name = "team"
kind = "chat"
events = ["night-broken"]
url = { env = "GOOD" }

[[notify]]
name = "gone"
kind = "chat"
events = ["failed"]
url = { env = "BAD" }
"""


def invoke(directory: Path, text: str, *words: str, url: str = "https://chat.example.org") -> Result:
    path = directory / "farm.toml"
    path.write_text(TEXT.format(api_url="https://api.github.com", at_once=0) + text)
    env = {**ENVIRONMENT, "GOOD": f"{url}/good", "BAD": f"{url}/bad"}
    return CliRunner().invoke(app.main, ["notify", *words, "--config", str(path)], env=env)


@pytest.mark.service
def test_each_channel_says_what_came_of_its_trial(tmp_path: Path) -> None:
    got: list[Any] = []

    async def take(request: Request) -> Response:
        got.append(json.loads(await request.body()))
        return PlainTextResponse("", 200 if request.url.path == "/good" else 404)

    routes = [Route(path, take, methods=["POST"]) for path in ("/good", "/bad")]
    with served(Starlette(routes=routes)) as url:
        both = invoke(tmp_path, CHANNELS, url=url)
        one = invoke(tmp_path, CHANNELS, "team", url=url)

    assert (both.exit_code, both.output) == (3, "team\tsent\ngone\tHTTP 404\n")
    assert (one.exit_code, one.output) == (0, "team\tsent\n")
    assert "on trial" in got[0]["text"]


@pytest.mark.parametrize(
    ("text", "words", "complaint"),
    [("", [], "has no [[notify]]"), (CHANNELS, ["mail"], "no [[notify]] is named mail; there are: team, gone")],
)
def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, text: str, words: list[str], complaint: str) -> None:
    done = invoke(tmp_path, text, *words)

    assert done.exit_code == 2
    assert complaint in done.output and "Traceback" not in done.output
