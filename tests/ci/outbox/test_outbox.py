"""The outbox against a GitHub that is down, slow to answer, or limits the rate; and through a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from githubkit import TokenAuthStrategy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from ci.forge.github import GitHubForge
from ci.forge.protocol import Check, CheckStatus, Comment, Conclusion
from ci.outbox import outbox
from ci.outbox.backoff import delay_s
from ci.outbox.outbox import OutboxMessage
from ci.outbox.sender import Sender
from ci.store.engine import open_database
from ci.store.tables import OUTBOX
from farm import timestamps
from farm.store.engine import transaction
from tests.fakes.github_api import TOKEN, Fault, GitHubApi
from tests.fakes.pulls import sha
from tests.fakes.served import served

REPOSITORY = "octo-org/kernels"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    api = GitHubApi()
    yield api
    assert api.problems == []


@pytest.fixture
def sender(engine: Engine, api: GitHubApi) -> Iterator[Sender]:
    with served(api.app()) as url:
        yield Sender(engine, {"github": GitHubForge(TokenAuthStrategy(TOKEN), url, "https://x.example", timeout_s=2)})


def check(title: str, job: str = "job1", **changes: Any) -> Check:
    told = Check(
        name="farm",
        head_sha=sha(3),
        external_id=job,
        status=CheckStatus.IN_PROGRESS,
        title=title,
        summary=title,
        details_url="https://x.example/jobs/1",
    )
    return told.model_copy(update=changes)


def post(engine: Engine, content: Check | Comment, key: str = "check/job1", forge: str = "github") -> None:
    with transaction(engine, "written", write=True) as connection:
        outbox.post(connection, key, forge, REPOSITORY, content)


def states(engine: Engine) -> list[str]:
    with transaction(engine, "read") as connection:
        return list(connection.execute(select(OUTBOX.c.state).order_by(OUTBOX.c.sequence)).scalars())


def due_now(engine: Engine) -> None:
    """Time passes: every wait and claim is over."""
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(OUTBOX).values(next_at=timestamps.as_text(timestamps.utc_now())))


def claim(engine: Engine) -> list[OutboxMessage]:
    return outbox.claim(engine, timestamps.utc_now() + timedelta(seconds=1), 10)


def titles(api: GitHubApi) -> list[str]:
    return [each["output"]["title"] for each in api.checks.values()]


def test_rows_of_one_key_go_one_at_a_time_and_of_two_at_once(engine: Engine) -> None:
    post(engine, check("a"))
    post(engine, check("other", "job2"), key="check/job2")
    first = claim(engine)
    post(engine, check("b"))

    assert [letter.key for letter in first] == ["check/job1", "check/job2"]
    assert claim(engine) == []  # "b" waits for "a"

    outbox.delivered(engine, first[0], "17")
    [second] = claim(engine)
    assert (second.content.model_dump()["title"], second.trail.remote_id, second.trail.uncertain) == ("b", "17", False)


def test_a_later_row_stands_in_for_one_nobody_has_tried(engine: Engine) -> None:
    for title in ("a", "b", "c"):
        post(engine, check(title))

    assert [letter.content.model_dump()["title"] for letter in claim(engine)] == ["c"]
    assert states(engine) == ["superseded", "superseded", "pending"]


def test_two_senders_never_claim_the_same_row(engine: Engine) -> None:
    post(engine, check("a"))

    assert len(claim(engine)) == 1
    assert claim(engine) == []


def test_a_claim_on_what_was_read_before_another_claimed_it_fails(engine: Engine) -> None:
    post(engine, check("a"))
    with transaction(engine, "read") as connection:
        seen = connection.execute(select(OUTBOX)).one()
    claim(engine)

    with transaction(engine, "written", write=True) as connection:  # as PostgreSQL lets two senders do
        assert not outbox.claim_row(connection, seen, timestamps.utc_now())


def test_a_row_whose_sender_died_comes_back_as_uncertain(engine: Engine) -> None:
    post(engine, check("a"))
    claim(engine)

    late = timestamps.utc_now() + timedelta(seconds=outbox.CLAIM_S + 1)
    [again] = outbox.claim(engine, late, 10)

    assert again.trail.uncertain


def test_a_sender_that_comes_too_late_changes_nothing(engine: Engine) -> None:
    post(engine, check("a"))
    [late] = claim(engine)
    due_now(engine)
    [current] = claim(engine)

    outbox.refuse(engine, late, "too late")
    assert states(engine) == ["pending"]
    outbox.delivered(engine, current, "1")
    assert states(engine) == ["sent"]


def test_a_row_is_there_exactly_if_its_change_is(engine: Engine) -> None:
    with pytest.raises(KeyError), transaction(engine, "written", write=True) as connection:
        outbox.post(connection, "check/job1", "github", REPOSITORY, check("a"))
        raise KeyError

    assert states(engine) == []


@pytest.mark.service
def test_an_outage_loses_nothing_reorders_nothing_and_doubles_nothing(
    engine: Engine, api: GitHubApi, sender: Sender
) -> None:
    lost = [Fault(502), Fault(500, applied=True), Fault(503), Fault(502, applied=True)]
    seen = []
    for number in range(12):
        last = number == 11
        done = {"status": CheckStatus.COMPLETED, "conclusion": Conclusion.SUCCESS} if last else {}
        post(engine, check(f"step {number:02}", **done))
        if number % 3 == 1 and lost:
            api.faults.append(lost.pop())
        asyncio.run(sender.send_due())
        due_now(engine)
        seen += titles(api)
    while "pending" in states(engine):
        due_now(engine)
        asyncio.run(sender.send_due())
        seen += titles(api)

    assert seen == sorted(seen)
    assert len(api.checks) == 1
    assert (titles(api), api.checks[1]["conclusion"]) == (["step 11"], "success")


@pytest.mark.service
def test_a_rate_limit_rests_the_whole_forge_for_as_long_as_it_asks(
    engine: Engine, api: GitHubApi, sender: Sender
) -> None:
    api.faults.append(Fault(403, {"retry-after": "60"}))
    post(engine, check("a"))
    asyncio.run(sender.send_due())
    asked = len(api.requests)

    post(engine, check("b", "job2"), key="check/job2")
    due_now(engine)
    assert asyncio.run(sender.send_due()) == 0
    assert len(api.requests) == asked


@pytest.mark.service
def test_what_the_forge_will_never_take_does_not_hold_up_the_rest(
    engine: Engine, api: GitHubApi, sender: Sender
) -> None:
    api.faults.append(Fault(422))
    post(engine, check("a"))
    asyncio.run(sender.send_due())
    post(engine, check("b"))
    asyncio.run(sender.send_due())

    assert states(engine) == ["refused", "sent"]
    assert titles(api) == ["b"]


@pytest.mark.service
def test_a_forge_that_is_not_configured_any_more_is_said_to_be_so(engine: Engine, sender: Sender) -> None:
    post(engine, check("a"), forge="gone")
    asyncio.run(sender.send_due())

    with transaction(engine, "read") as connection:
        assert "[forge.gone]" in str(connection.execute(select(OUTBOX.c.error)).scalar())


@pytest.mark.service
def test_no_credential_is_ever_in_the_database(engine: Engine, api: GitHubApi, sender: Sender) -> None:
    api.faults.append(Fault(401))
    post(engine, check("a"))
    asyncio.run(sender.send_due())

    with transaction(engine, "read") as connection:
        assert TOKEN not in str(connection.execute(select(OUTBOX)).all())


@given(st.integers(1, 10_000), st.none() | st.floats(0, 7200), st.floats(0, 1))
def test_waits_grow_to_a_limit_and_respect_what_was_asked(attempts: int, asked: float | None, chance: float) -> None:
    wait = delay_s(attempts, asked, chance)

    assert wait >= (asked or 0)
    assert 1 <= wait <= max(375, asked or 0)
    assert delay_s(attempts + 1, asked, chance) >= wait
