"""Runs a pytest suite over several devices and makes one JUnit file of it, with the devices as properties."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import junitparser

from farm.errors import InfrastructureError, UsageError
from farm.process import installation
from farm.process.extras import EXTRA_OF, MissingExtraError
from farm.report.junit.document import document
from farm.report.junit.elements import JunitSuite
from farm.testing import outcomes
from farm.testing.outcomes import Outcomes
from farm.testing.plugin import DEVICE_PROPERTY

# pytest's own exit codes that are no matter of the tests.
_INTERRUPTED, _USAGE, _NOTHING = 2, 4, 5
_STDERR = 2  # its file descriptor
_NO_RESULTS = "pytest ended without results: a test, or a conftest.py, ended its process"
_REFUSED = "pytest does not take these arguments; what it says stands above"
_TIDY_S = 60.0  # for giving devices back and ending the cluster; seconds on an idle machine


@dataclass(frozen=True, slots=True)
class DeviceSuite:
    """How a suite ended."""

    tests: int
    failures: int
    errors: int
    skipped: int
    unfinished: int  # collected, and without an outcome
    devices: dict[str, int]  # device id → tests that ran on it
    junit: str  # path of the file


def run(arguments: Sequence[str], devices: int, options: Sequence[str], junit: Path, *, quiet: bool) -> DeviceSuite:
    """Run pytest with `arguments` in `devices` processes and write `junit`, whole or not at all.

    `options` are the plugin's. With `quiet` pytest writes to stderr. Raises `UsageError` where pytest does not take the
    arguments or finds no test, and `InfrastructureError` where it was interrupted or broke, left no results, no test
    ran, or where none failed and not every collected test came to an outcome.
    """
    for module in ("pytest", "xdist"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, EXTRA_OF[module])
    junit.parent.mkdir(parents=True, exist_ok=True)
    part, note = (junit.with_name(f".{junit.name}.{end}").absolute() for end in ("part", "outcomes"))
    pinned = ("-p", "farm.testing.pinned_packages", "-p", "farm.testing.outcomes")
    results = (f"--junitxml={part}", f"{outcomes.OPTION}={note}")
    words = (*pinned, *arguments, "-n", str(devices), *results, *options)
    command = installation.module_command("pytest", *words)
    try:
        _remove(part, note)  # a run that was killed may have left its own
        code = _carried_out(command, quiet)
        found = _ended(code, note)
        ended = _gathered(part, junit, devices, len(found.missing))
        _require_proof(code, ended, found)
        return ended
    finally:
        _remove(part, note)


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _carried_out(command: list[str], quiet: bool) -> int:
    """The exit code of `command`. An interrupt is passed on once, and the end of its tidying up is waited for.

    In a session of its own: from a terminal every process would get Ctrl-C, and pytest's controller would find its
    workers gone before it can end their cluster.
    """
    with subprocess.Popen(command, stdout=_STDERR if quiet else None, start_new_session=True) as pytest:
        try:
            return pytest.wait()
        except KeyboardInterrupt:
            pytest.send_signal(signal.SIGINT)
            try:
                pytest.wait(_TIDY_S)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                os.killpg(pytest.pid, signal.SIGKILL)
            raise


def _ended(code: int, note: Path) -> Outcomes:
    """How the tests of a session that came to its end ended, whatever its exit code."""
    try:
        found = outcomes.read(note)
    except outcomes.NoOutcomesError as error:
        if code == _USAGE:
            raise UsageError(_REFUSED) from error
        if code in (0, 1, _NOTHING):
            raise InfrastructureError(_NO_RESULTS) from error
        found = None
    if code == _INTERRUPTED:
        raise InfrastructureError("the tests were interrupted, or could not be collected; see above")
    if found is None or code not in (0, 1, _USAGE, _NOTHING):
        raise InfrastructureError(f"pytest broke (exit code {code}); see above")
    if code in (_USAGE, _NOTHING) and found.doubt:
        raise InfrastructureError(found.doubt)
    if code == _USAGE:
        raise UsageError(_REFUSED)
    if code == _NOTHING:
        raise UsageError("pytest found no test to run; name a file or directory with tests")
    return found


def _require_proof(code: int, ended: DeviceSuite, found: Outcomes) -> None:
    """Raise `InfrastructureError` where the results do not bear out what pytest's exit code says."""
    if ended.failures or ended.errors:
        return
    if code != 0:
        raise InfrastructureError(f"pytest ended with exit code {code}, and no result shows a failure; see above")
    if ended.tests == ended.skipped:
        raise InfrastructureError(f"no test ran ({ended.skipped} skipped), so nothing is proven; see above")
    if found.doubt:
        raise InfrastructureError(found.doubt)


def _results(part: Path) -> list[junitparser.TestSuite]:
    try:
        return list(junitparser.JUnitXml.fromfile(str(part)))
    except (OSError, SyntaxError, junitparser.JUnitXmlError) as error:  # SyntaxError: of the XML
        raise InfrastructureError(_NO_RESULTS) from error


def _gathered(part: Path, junit: Path, wanted: int, unfinished: int) -> DeviceSuite:
    """The workers' results merged into one suite whose properties name the devices, written to `junit`."""
    suites = _results(part)
    used = Counter(
        found.value
        for suite in suites
        for case in suite
        for found in (case.child(junitparser.Properties) or ())
        if found.name == DEVICE_PROPERTY
    )
    merged = JunitSuite("farm test")
    merged.add_property("farm.devices.wanted", str(wanted))  # first: the schema has properties before test cases
    merged.add_property("farm.devices", " ".join(sorted(used)))
    for suite in suites:
        merged.add_testcases(list(suite))
        merged.hostname, merged.timestamp = suite.hostname, suite.timestamp
    merged.update_statistics()
    fresh = junit.with_name(f".{junit.name}.fresh")
    fresh.write_bytes(document([merged]))
    fresh.replace(junit)
    return DeviceSuite(
        tests=merged.tests,
        failures=merged.failures,
        errors=merged.errors,
        skipped=merged.skipped,
        unfinished=unfinished,
        devices=dict(sorted(used.items())),
        junit=str(junit),
    )
