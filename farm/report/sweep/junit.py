"""`junit.xml` of a sweep: a suite for each device with a test case for each kernel case, and one for the sweep itself.

Here a device is what is tested, and so its id names the test case.

`<failure>` is the kernel's fault, `<error>` a device's or the farm's; what was not reached is `<skipped>`.
"""

from __future__ import annotations

from collections.abc import Sequence

import junitparser

from farm.analysis.sweep_findings import sentence
from farm.model.run import Verdict
from farm.model.sweep import Cell, SweepFinding, SweepRecord
from farm.report.junit import document as junit_document
from farm.report.junit.elements import JunitSuite as _Suite
from farm.report.junit.elements import timestamp as _timestamp
from farm.report.junit.elements import xml as _xml
from farm.report.sweep.figures import swept
from farm.text import one_line


def document(record: SweepRecord) -> bytes:
    """The whole document as UTF-8."""
    suites = [_device_suite(record, device) for device in swept(record)]
    suites.append(_sweep_suite(record, red=any(case.is_failure or case.is_error for suite in suites for case in suite)))
    return junit_document.document(suites)


def _device_suite(record: SweepRecord, device: str) -> _Suite:
    held = next((each for each in record.devices if each.id == device), None)
    properties = {"device": device}
    if held:
        properties |= {"node": held.node, "index": str(held.index), "soc": held.soc, "card": held.card}
    for case, per_device in record.median_us.items():
        if device in per_device:
            properties[f"median_us.{case}"] = str(per_device[device])
    cells = [cell for cell in record.cells if cell.device == device]
    asked = {cell.case for cell in cells} if device not in record.planned else set(record.request.cases)
    cases = [
        _case(record, device, case, [cell for cell in cells if cell.case == case])
        for case in record.request.cases
        if case in asked
    ]
    return _suite(record, f"device {device}", held.node if held else "", properties, cases)


def _case(record: SweepRecord, device: str, case: str, cells: Sequence[Cell]) -> junitparser.TestCase:
    found = _blank(record, case, device, sum(cell.host_s for cell in cells))
    findings = [
        finding
        for finding in record.findings
        if device in finding.devices and any(place.case == case for place in finding.places)
    ]
    if findings:
        gravest = next((each for each in findings if each.kind.verdict is Verdict.FAILED), findings[0])
        found.result = [_result(gravest)]  # one: readers take the first or the last of several
        found.result[0].text = _xml("\n".join(sentence(each) for each in findings))
    elif not cells:
        why = next((each.why for each in record.not_reached if each.device == device), "no reason recorded")
        found.result = [_told(junitparser.Skipped, f"not reached: {why}", None)]
    return found


def _sweep_suite(record: SweepRecord, red: bool) -> _Suite:
    """Findings that name no device, and the verdict where nothing else shows why the sweep did not pass."""
    cases = []
    for number, finding in enumerate(each for each in record.findings if not each.devices):
        case = _blank(record, "sweep", f"{finding.kind.value} {number}", 0.0)
        case.result = [_result(finding)]
        cases.append(case)
    verdict = _blank(record, "sweep", "verdict", 0.0)
    if record.verdict is not Verdict.PASSED and not (red or cases):
        kind = junitparser.Failure if record.verdict is Verdict.FAILED else junitparser.Error
        verdict.result = [_told(kind, record.reason, "verdict")]
    return _suite(record, "sweep", "", {}, [*cases, verdict])


def _result(finding: SweepFinding) -> junitparser.Result:
    kind = junitparser.Failure if finding.kind.verdict is Verdict.FAILED else junitparser.Error
    return _told(kind, sentence(finding), finding.kind.value)


def _told(kind: type[junitparser.Result], message: str, slug: str | None) -> junitparser.Result:
    result = kind(one_line(_xml(message)), slug)
    result.text = _xml(message)
    return result


def _blank(record: SweepRecord, case: str, name: str, seconds: float) -> junitparser.TestCase:
    return junitparser.TestCase(
        _xml(name), _xml(f"{junit_document.kernel_label(record.request.kernel)}.{case}"), round(seconds, 3)
    )


def _suite(
    record: SweepRecord, name: str, host: str, properties: dict[str, str], cases: Sequence[junitparser.TestCase]
) -> _Suite:
    suite = _Suite(_xml(name))
    suite.package = junit_document.kernel_label(record.request.kernel)
    suite.hostname = _xml(host) or "localhost"
    suite.timestamp = _timestamp(record.started_at)
    common = {"sweep_id": record.sweep_id, "commit": record.commit, "platform": record.request.platform}
    versions = {f"toolchain.{tool}": version for tool, version in record.toolchain.items()}
    for key, value in {**properties, **common, **versions}.items():
        suite.add_property(_xml(key), _xml(value))
    suite.add_testcases(list(cases))
    suite.append(junitparser.SystemOut(_xml(record.reason)))
    suite.append(junitparser.SystemErr(""))
    return suite
