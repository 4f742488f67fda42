"""Repositories with many open pull requests: the configuration of the service, and the jobs that their events make."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from sqlalchemy import Engine

from benchmarks.serving import CONFIG
from ci.config.settings import Config
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.store.states import JobKind
from farm.model.priority import Priority
from farm.store.engine import transaction

_HEAD, _, _REPOSITORY = CONFIG.partition("[[repository]]")


def configuration(repositories: int) -> str:
    """`farm.toml` with that many repositories of one forge, reached over http."""
    head = _HEAD.replace("https://farm.example.org", "http://127.0.0.1")
    named = (_REPOSITORY.replace("octo-org/kernels", f"octo-org/kernels-{number}") for number in range(repositories))
    return head + "".join(f"[[repository]]{section}" for section in named)


def open_all(engine: Engine, config: Config, each: int, push: int = 0) -> list[float]:
    """Queue the commit of `each` pull requests of every repository, as an event does; seconds of each transaction.

    Another `push` is another commit of the same pull requests: what is open of the one before is cancelled.
    """
    return list(_opened(engine, config, each, push))


def _opened(engine: Engine, config: Config, each: int, push: int) -> Iterator[float]:
    for number in range(1, each + 1):
        for repository in config.repository:
            head = hashlib.sha1(f"{repository.name} {number} {push}".encode(), usedforsecurity=False).hexdigest()
            asked = Validate(
                kind=JobKind.PULL_REQUEST,
                subject=f"pull/{number}",
                number=number,
                head_sha=head,
                base_sha="b" * 40,
                base_ref="main",
                from_fork=False,
                author=f"author-{number % 7}",
                priority=Priority.PULL_REQUEST,
            )
            begun = time.perf_counter()
            with transaction(engine, "written", write=True) as connection:
                Queue(connection, config, repository).validate(asked)
            yield time.perf_counter() - begun
