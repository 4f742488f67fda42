"""Fetching from a real git remote: exactly what is wanted, nothing executed, no token to be seen."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ci.runner.git_command import FetchError, FetchLimits, RefusedCommitError, Remote, environment
from ci.runner.git_mirror import CommitMissingError, Mirror
from tests.fakes.git_remote import GitRemote
from tests.fakes.served import served

LIMITS = FetchLimits(bytes=1 << 26, seconds=60)
TOKEN = SecretStr("ghs_of_the_tests")

Answer = TypeVar("Answer")


def ask(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(coroutine)


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    return GitRemote(tmp_path / "remote.git")


def mirror(tmp_path: Path, limits: FetchLimits = LIMITS) -> Mirror:
    return Mirror(tmp_path / "mirrors" / "octo-org" / "kernels.git", limits)


def test_a_forks_commit_and_where_it_left_the_branch_are_brought(tmp_path: Path, remote: GitRemote) -> None:
    head = remote.pull(7, {"kernel.py": "faster"})
    newer = remote.commit({"other.py": "later"}, remote.main, ref="refs/heads/main")

    found = ask(mirror(tmp_path).bring(Remote(remote.url), head, newer))

    assert (found.head, found.base) == (head, remote.main)
    assert ask(mirror(tmp_path).text(head, "kernel.py")) == "faster"
    assert ask(mirror(tmp_path).changed(found, ["**"])) == ["kernel.py"]


def test_a_merge_queues_commit_is_found_by_its_ref_alone(tmp_path: Path, remote: GitRemote) -> None:
    ref = "refs/heads/gh-readonly-queue/main/pr-7-abc"
    head = remote.commit({"kernel.py": "merged"}, remote.main, ref=ref)

    assert ask(mirror(tmp_path).bring(Remote(remote.url), head, remote.main, [ref])).base == remote.main


def test_what_is_here_is_not_asked_for_again(tmp_path: Path, remote: GitRemote) -> None:
    head = remote.pull(7, {"kernel.py": "faster"})
    ask(mirror(tmp_path).bring(Remote(remote.url), head, remote.main))

    again = ask(mirror(tmp_path).bring(Remote("file:///nowhere"), head, remote.main))

    assert again == ask(mirror(tmp_path).local(head, remote.main))


def test_a_commit_without_history_in_common_is_refused_for_its_diff_is_unknown(
    tmp_path: Path, remote: GitRemote
) -> None:
    head = remote.commit({"x": "passed"}, ref="refs/heads/orphan")

    with pytest.raises(RefusedCommitError, match="no history in common"):
        ask(mirror(tmp_path).bring(Remote(remote.url), head, remote.main))


@pytest.mark.parametrize("wanted", ["f" * 40, "main", "--upload-pack=touch /tmp/x", ""])
def test_a_commit_that_is_not_there_is_named(tmp_path: Path, remote: GitRemote, wanted: str) -> None:
    with pytest.raises(CommitMissingError, match=wanted or "no commit's whole hash"):
        ask(mirror(tmp_path).bring(Remote(remote.url), wanted, ""))


def test_a_tree_is_no_commit(tmp_path: Path, remote: GitRemote) -> None:
    tree = remote.git("rev-parse", f"{remote.main}^{{tree}}")

    with pytest.raises(CommitMissingError, match="is no commit"):
        ask(mirror(tmp_path).bring(Remote(remote.url), tree, ""))


def test_a_remote_that_is_away_may_be_back_later(tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        ask(mirror(tmp_path).bring(Remote((tmp_path / "nothing.git").as_uri()), "f" * 40, ""))


def test_more_than_the_limit_is_given_up_and_leaves_nothing(tmp_path: Path, remote: GitRemote) -> None:
    head = remote.pull(7, {"big": os.urandom(3 << 20).hex()})

    with pytest.raises(RefusedCommitError, match="larger than 1048576 bytes"):
        ask(mirror(tmp_path, FetchLimits(bytes=1 << 20, seconds=60)).bring(Remote(remote.url), head, ""))

    assert list((tmp_path / "mirrors").rglob("tmp_*")) == []


def test_a_question_about_the_mirror_leaves_the_pack_of_a_fetch_under_way_alone(
    tmp_path: Path, remote: GitRemote
) -> None:
    mine = mirror(tmp_path)
    ask(mine.bring(Remote(remote.url), remote.pull(7, {"kernel.py": "faster"}), ""))
    under_way = next((tmp_path / "mirrors").rglob("pack")) / "tmp_pack_of_another"
    under_way.write_bytes(b"half of it")

    with pytest.raises(FetchError, match="not in the mirror"):
        ask(mine.local("f" * 40, ""))

    assert under_way.read_bytes() == b"half of it"


def test_a_remote_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    async def silent(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response("")

    with (
        served(Starlette(routes=[Route("/{path:path}", silent)])) as url,
        pytest.raises(FetchError, match="within 1 s"),
    ):
        ask(mirror(tmp_path, FetchLimits(bytes=1 << 20, seconds=1)).bring(Remote(f"{url}/x.git", TOKEN), "f" * 40, ""))


def test_nothing_that_a_commit_brings_is_acted_on(tmp_path: Path, remote: GitRemote) -> None:
    link = remote.git("hash-object", "-w", "--stdin", text="/etc/passwd")
    modules = remote.git("hash-object", "-w", "--stdin", text='[submodule "s"]\n\tpath = s\n\turl = file:///nowhere\n')
    attributes = remote.git("hash-object", "-w", "--stdin", text="* filter=evil\n")
    entries = {"passwd": ("120000", link), ".gitmodules": ("100644", modules), ".gitattributes": ("100644", attributes)}
    head = remote.plant({**entries, "s": ("160000", "a" * 40)}, remote.main, ref="refs/pull/7/head")

    ask(mirror(tmp_path).bring(Remote(remote.url), head, remote.main))

    directory = tmp_path / "mirrors" / "octo-org" / "kernels.git"
    assert not [path for path in directory.rglob("*") if path.is_symlink()]
    assert not (directory / "hooks").exists() and not (directory / "modules").exists()


def test_the_token_goes_to_its_host_alone_and_into_no_file_or_message(tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(request: Request) -> Response:
        asked.append(request.headers.get("authorization", ""))
        return Response("", 404)

    with served(Starlette(routes=[Route("/{path:path}", refuse)])) as url, pytest.raises(FetchError) as caught:
        ask(mirror(tmp_path).bring(Remote(f"{url}/octo-org/kernels.git", TOKEN), "f" * 40, ""))

    encoded = base64.b64encode(b"x-access-token:ghs_of_the_tests").decode()
    assert asked[0] == f"Basic {encoded}"
    written = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert encoded not in written + str(caught.value)


def test_git_sees_nothing_of_the_services_environment() -> None:
    outer = {
        "PATH": "/bin",
        "FARM_WEBHOOK_SECRET": "s",
        "GIT_DIR": "/x",
        "GIT_SSH_COMMAND": "touch /tmp/x",
        "HOME": "/root",
    }

    given = environment(outer, Path("/mirror"), Remote("https://example.org/x.git", TOKEN))

    assert given["HOME"] == "/mirror" and given["GIT_ALLOW_PROTOCOL"] == "https"
    assert not {"FARM_WEBHOOK_SECRET", "GIT_DIR", "GIT_SSH_COMMAND"} & set(given)
