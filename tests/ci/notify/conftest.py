"""Servers that notices are sent to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tests.ci.notify.receiver import Receiver
from tests.fakes.served import served


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server at an address of which nobody may learn."""
    receiver = Receiver()
    with served(Starlette(routes=[Route("/hooks/T0/secret-part", receiver.take, methods=["POST"])])) as url:
        receiver.url = f"{url}/hooks/T0/secret-part"
        yield receiver
