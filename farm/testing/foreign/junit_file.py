"""The one JUnit file of a foreign suite, with the device of each test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import junitparser

from farm.atomic_file import write_whole
from farm.report.junit.document import document
from farm.report.junit.elements import JunitSuite, timestamp, xml
from farm.testing.foreign.attempt import AttemptEnding
from farm.testing.foreign.board import TestResult
from farm.testing.plugin import DEVICE_PROPERTY
from farm.testing.suite import DeviceSuite
from farm.text import one_line

_KINDS = {AttemptEnding.FAILED: junitparser.Failure, AttemptEnding.SKIPPED: junitparser.Skipped}


def written(results: Sequence[TestResult], wanted: int, begin: str, profile: str, junit: Path) -> DeviceSuite:
    """Write `junit` and return the totals; `begin` is when the run began, `wanted` its number of devices."""
    used = Counter(each.device for each in results if each.device)
    suite = JunitSuite(f"farm test --profile {profile}")
    suite.hostname, suite.timestamp = "localhost", timestamp(begin)
    suite.add_property("farm.devices.wanted", str(wanted))
    suite.add_property("farm.devices", " ".join(sorted(used)))
    suite.add_testcases([_case(each) for each in results])
    suite.update_statistics()
    junit.parent.mkdir(parents=True, exist_ok=True)
    write_whole(junit, document([suite]))
    return DeviceSuite(
        tests=suite.tests,
        failures=suite.failures,
        errors=suite.errors,
        skipped=suite.skipped,
        unfinished=sum(not each.device for each in results),
        devices=dict(sorted(used.items())),
        junit=str(junit),
    )


def _case(result: TestResult) -> junitparser.TestCase:
    plain, bracket, values = result.name.partition("[")
    path, *names = plain.split("::")
    classes = [path.removesuffix(".py").replace("/", "."), *names[:-1]]
    name = (names[-1] if names else path) + bracket + values
    case = junitparser.TestCase(xml(name), xml(".".join(classes)), round(result.seconds, 3))
    if result.device:
        properties = junitparser.Properties()
        properties.add_property(junitparser.Property(DEVICE_PROPERTY, xml(result.device)))
        case.append(properties)
    if result.ending is not AttemptEnding.PASSED:
        kind = _KINDS.get(result.ending, junitparser.Error)
        found = kind(xml(one_line(result.message)))
        found.text = xml(result.text or result.message)
        case.result = [found]
    if result.before:
        case.system_out = xml("\n".join(["tried before:", *result.before]))
    return case
