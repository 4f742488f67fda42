"""`junit.xml` of a bisect: a test case for each commit that was tested, and one for the search.

A commit that is worse than the good one is a `<failure>`, also where the search found what it was started for; one that
could not be judged is `<skipped>`; a search that ended without an answer is an `<error>`.
"""

from __future__ import annotations

import junitparser

from farm.model.bisect import Answer, BisectRecord, CommitOutcome, CommitTestRecord
from farm.report.junit import document as junit_document
from farm.report.junit.elements import JunitSuite, timestamp, xml
from farm.text import one_line


def document(record: BisectRecord) -> bytes:
    """Return the whole document as UTF-8."""
    suite = JunitSuite("bisect")
    suite.package = junit_document.kernel_label(record.request.kernel)
    suite.hostname = "localhost"
    suite.timestamp = timestamp(record.started_at)
    for name, value in _properties(record).items():
        suite.add_property(xml(name), xml(value))
    tests = sorted(record.probes, key=lambda probe: (probe.position, probe.round))
    suite.add_testcases([*(_commit(record, probe) for probe in tests), _search(record)])
    suite.append(junitparser.SystemOut(xml(record.reason)))
    suite.append(junitparser.SystemErr(""))
    return junit_document.document([suite])


def _properties(record: BisectRecord) -> dict[str, str]:
    """What is not the same from one bisect of the same range to the next is here, and not in names."""
    devices = {f"device.{probe.commit}": probe.device for probe in record.probes}
    return {
        "bisect_id": record.bisect_id,
        "platform": record.request.platform,
        "outcome": record.outcome.value,
        "last_good": record.last_good,
        "suspects": " ".join(record.suspects),
        **devices,
    }


def _commit(record: BisectRecord, probe: CommitTestRecord) -> junitparser.TestCase:
    found = _case(record, probe.commit, probe.probe_s)
    if probe.answer is Answer.BAD:
        found.result = [_result(junitparser.Failure, probe.reason, "bad")]
    elif probe.answer is not Answer.GOOD:
        found.result = [_result(junitparser.Skipped, probe.reason, None)]
    return found


def _search(record: BisectRecord) -> junitparser.TestCase:
    found = _case(record, "search", 0.0)
    if record.outcome is not CommitOutcome.FOUND:
        found.result = [_result(junitparser.Error, record.reason or record.outcome.value, record.outcome.value)]
    return found


def _case(record: BisectRecord, name: str, seconds: float) -> junitparser.TestCase:
    of = (
        f"{junit_document.kernel_label(record.request.kernel)}.{xml(record.request.case)}.{record.request.metric.value}"
    )
    return junitparser.TestCase(xml(name), of, round(seconds, 3))


def _result(kind: type[junitparser.Result], message: str, slug: str | None) -> junitparser.Result:
    result = kind(one_line(xml(message)), slug)
    result.text = xml(message)
    return result
