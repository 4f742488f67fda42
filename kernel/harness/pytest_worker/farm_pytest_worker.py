"""The pytest plugin of one worker: takes tests that no other worker has taken, and writes down how each one ends.

It runs in whatever Python the suite has, so it needs nothing but pytest and the standard library. What it is to do is
in one environment variable. Several processes share a directory of claims: who creates a test's file runs the test.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest

VARIABLE = "FARM_PYTEST_WORKER"
_MOST_CHARACTERS = 20000  # of a failure: half from its beginning, half from its end


def pytest_configure(config: pytest.Config) -> None:
    """Begin where the variable is set: a child process of a test may load the plugin as well."""
    told = os.environ.pop(VARIABLE, None)
    if told is not None:
        config.pluginmanager.register(Worker(**json.loads(told)), "farm-worker")
        # The suite's own workers would share one device. pytest-xdist reads these in a later hook.
        for name, value in (("dist", "no"), ("tx", []), ("numprocesses", None)):
            if hasattr(config.option, name):
                setattr(config.option, name, value)


class Worker:
    """One process of several that run a suite together."""

    def __init__(
        self,
        name: str,
        events: str,
        claims: str,
        only: Sequence[str] | None,
        device_faults: Sequence[str],
    ) -> None:
        """`only` are node ids, or None for all; `device_faults` are regular expressions."""
        self._name = name
        self._events = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._claims = claims
        self._only = None if only is None else frozenset(only)
        self._device_faults = [re.compile(each) for each in device_faults]
        self._faulted = False
        self._found: list[str] = []
        self._deselected: set[str] = set()

    def _tell(self, **event: object) -> None:
        os.write(self._events, json.dumps(event).encode() + b"\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report a file that cannot be collected."""
        self._tell(event="collecting")
        if report.failed:
            self._tell(event="broken", test=report.nodeid, text=_shortened(str(report.longrepr)))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, Any, None]:
        """Note what there is before any hook of the suite takes tests out."""
        before = list(items)
        yield
        self._found = [item.nodeid for item in before]

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what a hook or an option reports to take out."""
        self._deselected.update(item.nodeid for item in items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the tests that this worker gets, in place of pytest's own loop."""
        left = [item.nodeid for item in session.items]
        known = self._deselected.union(left)
        dropped = [name for name in self._found if name not in known]
        self._tell(event="collected", tests=left, dropped=dropped, deselected=len(self._deselected))
        if session.testsfailed or session.config.option.collectonly:
            return None
        mine = self._claimed(session.items)
        item = next(mine, None)
        while item is not None and not self._faulted:
            following = next(mine, None)
            self._tell(event="begins", test=item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            item = following
        return True

    def _claimed(self, items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
        for item in items:
            if self._only is not None and item.nodeid not in self._only:
                continue
            path = f"{self._claims}/{hashlib.sha256(item.nodeid.encode()).hexdigest()}"
            try:
                claim = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
            os.write(claim, json.dumps([self._name, item.nodeid]).encode())
            os.close(claim)
            yield item

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down one phase of a test. After a device's fault nothing more is run in this process."""
        text = ""
        if report.failed:
            text = "\n".join([report.longreprtext, *(content for _, content in report.sections)])
            lines = text.splitlines()
            self._faulted = self._faulted or any(each.search(line) for each in self._device_faults for line in lines)
        elif report.skipped:
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        crash = getattr(report.longrepr, "reprcrash", None)
        self._tell(
            event="report",
            test=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            seconds=report.duration,
            message=_shortened(getattr(crash, "message", "") or ""),
            text=_shortened(text),
        )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Report that the session came to its end."""
        self._tell(event="ends", code=int(exitstatus))


def _shortened(text: str) -> str:
    half = _MOST_CHARACTERS // 2
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:half]}\n…\n{text[-half:]}"
