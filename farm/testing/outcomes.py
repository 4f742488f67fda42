"""The pytest plugin that notes which tests of a suite were collected, and which of them came to an outcome.

pytest's exit code says how the session ended, and code of the suite chooses it: `pytest.exit(returncode=0)` in a
`conftest.py` ends a session with success after the first test. So `farm test` compares what was collected with what was
reported. Under pytest-xdist the workers collect and the controller notes; it writes the note in its last hook before
the results. A suite that forges reports is not held back: its code runs in the processes that report.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

OPTION = "--farm-outcomes"
_DROPPED, _DESELECTED = "farm_dropped", "farm_deselected"  # what a worker reports to its controller


class Outcomes(BaseModel):
    """How the tests of one session ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collected: list[str]  # node ids of the tests that were to run
    finished: list[str]  # node ids of those that came to an outcome
    dropped: list[str]  # found, and taken out again by a hook that did not report it
    deselected: int  # taken out by a hook or an option that reported it
    asked: bool  # an option of pytest, as -k, takes tests out
    lost: list[str]  # workers that ended before their session did

    @property
    def missing(self) -> list[str]:
        """Tests that should have an outcome and have none."""
        return sorted({*self.collected, *self.dropped} - set(self.finished))

    @property
    def doubt(self) -> str:
        """Why this session proves nothing, in one line; "" where every test that was collected has an outcome."""
        if missing := self.missing:
            whole = len({*self.collected, *self.dropped})
            left = f"{len(missing)} of {whole} collected tests came to no outcome, the first is {missing[0]}"
            return f"{left}: a test, or a conftest.py, ended the session early or took them out"
        if self.lost:
            return f"process {self.lost[0]} of the tests ended before its session did; see above"
        if self.deselected and not self.asked and not self.collected:
            return f"a hook of the suite deselected all {self.deselected} tests, so nothing is proven"
        return ""


class NoOutcomesError(Exception):
    """The session left no note: it ended before its last hook."""


def read(path: Path) -> Outcomes:
    """Return the note of a session. Raises `NoOutcomesError`."""
    try:
        return Outcomes.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise NoOutcomesError(str(path)) from error


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the note is written."""
    parser.addoption(OPTION, metavar="FILE", help="Write which tests were collected, and which have an outcome.")


def pytest_configure(config: pytest.Config) -> None:
    """Watch what this process collects, and take notes in the one that reports."""
    own = _Collection(config)
    config.pluginmanager.register(own, "farm-collection")
    path = config.getoption(OPTION)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Note(config, own, Path(path)), "farm-outcomes")


@dataclass(slots=True, eq=False)
class _Collection:
    """What one process collected, and what was left of it."""

    config: pytest.Config
    complete: bool = False
    found: list[str] = field(default_factory=list)
    deselected: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> list[str]:
        """Tests that a hook took out without a report of it."""
        known = {*self.left, *self.deselected}
        return [name for name in self.found if name not in known]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, Any, Any]:
        """Note what there is before any hook takes tests out."""
        before = list(items)
        result = yield
        self.found = [item.nodeid for item in before]  # only now: pytest-xdist appends the name of a group
        self.complete = True
        return result

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what a hook or an option reports to take out."""
        self.deselected += [item.nodeid for item in items]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is left."""
        self.left = [item.nodeid for item in session.items]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, Any, Any]:
        """Give the controller what was taken out. A worker that did not come so far gives it nothing."""
        output = getattr(self.config, "workeroutput", None)
        if output is not None and (self.complete or exitstatus == pytest.ExitCode.USAGE_ERROR):
            output[_DROPPED], output[_DESELECTED] = self.dropped, len(self.deselected)
        return (yield)


@dataclass(slots=True, eq=False)
class _Note:
    """Collects the note in the process that reports; without workers it has collected the tests itself."""

    config: pytest.Config
    own: _Collection
    path: Path
    collected: dict[str, None] = field(default_factory=dict)
    finished: dict[str, None] = field(default_factory=dict)
    dropped: dict[str, None] = field(default_factory=dict)
    deselected: int = 0
    lost: list[str] = field(default_factory=list)
    ended: int = 0  # workers that came to their end

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note what a worker is going to run."""
        self.collected.update(dict.fromkeys(ids))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test whose last phase is over, or whose worker died of it."""
        if report.when not in ("setup", "call"):
            self.finished[report.nodeid] = None

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Note what a worker took out, and one that did not come to its end."""
        output = getattr(node, "workeroutput", None) or {}
        self.dropped.update(dict.fromkeys(output.get(_DROPPED, ())))
        self.deselected = max(self.deselected, output.get(_DESELECTED, 0))
        whole = error is None and _DROPPED in output
        self.ended += whole
        if not whole:
            self.lost.append(node.gateway.id)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, Any, Any]:
        """Write the note, before any hook of the suite can end the process."""
        own, option = self.own, self.config.option
        if not (own.complete or self.ended or self.lost or exitstatus == pytest.ExitCode.USAGE_ERROR):
            self.lost.append("main")
        note = Outcomes(
            collected=[*self.collected, *own.left],
            finished=list(self.finished),
            dropped=[*self.dropped, *own.dropped],
            deselected=self.deselected + len(own.deselected),
            asked=bool(option.keyword or option.markexpr or option.deselect),
            lost=self.lost,
        )
        self.path.write_text(note.model_dump_json())
        return (yield)
