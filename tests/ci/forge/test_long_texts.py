"""What strangers write may be of any length; a forge takes so much of it."""

from __future__ import annotations

import asyncio

import pytest
from githubkit import TokenAuthStrategy

from ci.forge.github import GitHubForge
from ci.forge.protocol import Comment, Trail
from tests.fakes.github_api import TOKEN, GitHubApi
from tests.fakes.served import served

pytestmark = pytest.mark.service


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_a_comment_fits_what_github_takes(letter: str) -> None:
    api = GitHubApi()
    with served(api.app()) as url:
        forge = GitHubForge(TokenAuthStrategy(TOKEN), url, "https://x.example", timeout_s=5)
        comment = Comment(number=7, marker="<!-- npu-kernel-farm report -->", body=f"{letter * 99}\n" * 3000)
        asyncio.run(forge.put_comment("octo-org/kernels", comment, Trail("", False)))

    [kept] = api.comments.values()
    assert len(kept["body"].encode()) <= 65_535
    assert kept["body"].startswith(comment.marker) and "The rest did not fit" in kept["body"]
    assert api.problems == []
