"""Suites and test cases of a run's JUnit document, whatever they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import junitparser

from farm.model.run import GateStatus, RunRecord
from farm.report.junit.document import kernel_label
from farm.report.junit.elements import JunitSuite, timestamp, xml
from farm.text import one_line


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """How one test case ended."""

    status: GateStatus
    type: str  # short slug
    message: str


PASSED = CaseOutcome(GateStatus.PASSED, "", "")


def skipped(message: str) -> CaseOutcome:
    """What says nothing about the kernel, with the reason."""
    return CaseOutcome(GateStatus.NOT_APPLICABLE, "not-applicable", message)


def suite_of(
    record: RunRecord, name: str, host: str, properties: dict[str, str], cases: Iterable[junitparser.TestCase]
) -> JunitSuite:
    """A suite with what every suite of the run has; `host` is the node of its device, "" for none."""
    made = JunitSuite(xml(name))
    made.package = kernel_label(record.kernel)
    made.hostname = xml(host) or "localhost"
    made.timestamp = timestamp(record.started_at)
    common = {"run_id": record.run_id, "commit": record.commit, "platform": record.platform}
    common |= {"commit.unknown": record.commit_unknown} if record.commit_unknown else {}
    common |= {"local": "true"} if record.request.local else {}
    versions = {f"toolchain.{tool}": version for tool, version in record.toolchain.items()}
    for key, value in {**properties, **common, **versions}.items():
        made.add_property(xml(key), xml(value))
    made.add_testcases(list(cases))
    made.append(junitparser.SystemOut(xml(record.reason)))
    made.append(junitparser.SystemErr(""))
    return made


def case_of(record: RunRecord, of: str, name: str, seconds: float, outcome: CaseOutcome) -> junitparser.TestCase:
    """One test case of the kernel's case `of`, or of "run"."""
    found = junitparser.TestCase(xml(name), f"{kernel_label(record.kernel)}.{xml(of)}", round(seconds, 3))
    kinds = {GateStatus.FAILED: junitparser.Failure, GateStatus.NOT_APPLICABLE: junitparser.Skipped}
    if outcome.status is not GateStatus.PASSED:
        message = xml(outcome.message)
        kind = kinds.get(outcome.status, junitparser.Error)
        result = kind(one_line(message), None if kind is junitparser.Skipped else xml(outcome.type))
        result.text = message
        found.result = [result]
    return found
