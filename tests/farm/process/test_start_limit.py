"""Start limits follow the load of the host, and one that is exceeded names the host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm.errors import UsageError
from farm.process import start_limit
from farm.process.start_limit import HostLoad, HostOverloadedError

IDLE = HostLoad("elsewhere", 0.5, 4)
BUSY = HostLoad("elsewhere", 12.0, 4)
FULL = HostLoad("elsewhere", 400.0, 4)


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def after(self, seconds: float) -> Callable[[float], bool]:
        """A start that ends after `seconds`."""

        def ended(limit_s: float) -> bool:
            self.seconds += limit_s
            return self.seconds >= seconds

        return ended


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(start_limit, "time", made)
    monkeypatch.setenv(start_limit.VARIABLE, "100")
    return made


@pytest.mark.parametrize(("load", "limit_s"), [(IDLE, 100.0), (BUSY, 300.0), (FULL, 400.0)])
def test_the_limit_grows_with_the_load_of_the_host_up_to_four_times(
    clock: Clock, load: HostLoad, limit_s: float
) -> None:
    assert start_limit.exceeded(clock.after(limit_s - 10.0), load) is None

    clock.seconds = 0.0

    assert start_limit.exceeded(clock.after(limit_s + 10.0), load) == limit_s


def test_a_load_that_grows_here_while_somebody_waits_makes_the_limit_longer(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = HostLoad("this", 0.0, 2)
    monkeypatch.setattr(HostLoad, "here", lambda: HostLoad("this", 6.0 if clock.seconds > 50 else 0.0, 2))

    assert start_limit.exceeded(clock.after(250.0), begun) is None
    assert begun.now().running == 6.0
    assert IDLE.now() == IDLE, "another machine's load is not known here"


def test_a_start_that_takes_less_has_its_share_of_the_limit(clock: Clock) -> None:
    assert start_limit.exceeded(clock.after(60.0), IDLE, share=0.5) == 50.0


@pytest.mark.parametrize("text", ["soon", "0", "-1", "3601", "nan", ""])
def test_a_limit_that_cannot_be_used_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(start_limit.VARIABLE, text)

    with pytest.raises(UsageError, match=f"FARM_START_LIMIT is '{text}'; use a number of seconds from 1 to 3600"):
        start_limit.limit_s_of_idle()


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (BUSY, "host n1 is overloaded (load 12.0 on 4 processors): the worker of n1/0 did not start within 300 s"),
        (IDLE, "host n1 is too slow (load 0.5 on 4 processors): the worker of n1/0 did not start within 300 s"),
        (None, "host n1 is overloaded or stopped: the worker of n1/0 did not start within 300 s"),
    ],
)
def test_the_error_names_host_load_what_was_waited_for_and_remedy(load: HostLoad | None, said: str) -> None:
    told = str(HostOverloadedError("n1", "the worker of n1/0", 300.0, load))

    assert told.startswith(said)
    assert told.endswith("or give it longer with FARM_START_LIMIT (240 s on an idle host)")


def test_the_load_of_this_machine_can_be_asked() -> None:
    here = HostLoad.here()

    assert here.processors > 0
    assert here.running >= 0
    assert 1 <= here.factor <= 4
