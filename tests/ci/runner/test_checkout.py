"""Where the commits of a job are found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.config.forge import ForgeKind
from ci.queue.claims import JobClaim
from ci.queue.options import JobOptions
from ci.runner.checkout import refs_of
from ci.store.states import JobKind
from farm.model.priority import Priority
from tests.ci.configuration import configuration


def claim(directory: Path, kind: JobKind, subject: str, number: int | None) -> JobClaim:
    return JobClaim(
        id="job1",
        repository=configuration(directory).repository[0],
        kind=kind,
        subject=subject,
        number=number,
        head_sha="a" * 40,
        base_sha="b" * 40,
        from_fork=False,
        priority=Priority.PULL_REQUEST,
        options=JobOptions(),
        approved_by="",
        run_id="",
        process=None,
        attempts=1,
    )


@pytest.mark.parametrize(
    ("forge", "ref"),
    [
        ("github", "refs/pull/7/head"),
        ("gitea", "refs/pull/7/head"),
        ("gitlab", "refs/merge-requests/7/head"),
        ("gitee", "refs/pull/7/head"),
        ("gitcode", "refs/merge-requests/7/head"),
    ],
)
def test_the_head_of_a_pull_request_is_found_where_its_forge_keeps_it(
    tmp_path: Path, forge: ForgeKind, ref: str
) -> None:
    assert refs_of(claim(tmp_path, JobKind.PULL_REQUEST, "pull/7", 7), forge) == [ref]
    assert refs_of(claim(tmp_path, JobKind.BASELINE, "refs/heads/main", None), forge) == ["refs/heads/main"]
    assert refs_of(claim(tmp_path, JobKind.COMMIT, f"commit/{'a' * 40}", None), forge) == []
