"""`junit.xml` of a harness's run: a test case for each file, in a suite for each directory.

`<failure>` is the kernel's fault, `<error>` the farm's or a device's; a file not for the platform is `<skipped>`.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import junitparser

from farm.gates.claims import describe
from farm.model.run import FileStatus, HarnessRecord, RunRecord, Verdict
from farm.report.harness import figures
from farm.report.harness.figures import FileFigures
from farm.report.junit import document as junit_document
from farm.report.junit.elements import JunitSuite, timestamp, xml
from farm.text import one_line

_KINDS = {
    FileStatus.FAILED: junitparser.Failure,
    FileStatus.ERRORED: junitparser.Error,
    FileStatus.SKIPPED: junitparser.Skipped,
}


def document(record: RunRecord, harness: HarnessRecord) -> bytes:
    """The whole document as UTF-8."""
    rows = sorted(figures.of(record, harness), key=lambda row: row.file.file)
    directories = dict.fromkeys(PurePosixPath(row.file.file).parent.as_posix() for row in rows)
    setup = figures.set_up(harness)
    suites = [
        _suite(record, setup, name, [row for row in rows if PurePosixPath(row.file.file).parent.as_posix() == name])
        for name in directories
    ]
    if record.verdict is Verdict.ERRORED and not any(row.file.status is FileStatus.ERRORED for row in rows):
        suites.append(_suite(record, setup, "run", []))
        suites[-1].add_testcase(_verdict(record))
    return junit_document.document(suites)


def _case(row: FileFigures) -> junitparser.TestCase:
    path = PurePosixPath(row.file.file)
    case = junitparser.TestCase(xml(path.name), xml(".".join(path.with_suffix("").parts)), round(row.host_s, 3))
    kind = _KINDS.get(row.file.status)
    if kind is not None:
        result = kind(one_line(xml(row.told)), None if kind is junitparser.Skipped else row.file.status.value)
        result.text = xml("\n".join([row.told, *_evidence(row)]))
        case.result = [result]
    return case


def _evidence(row: FileFigures) -> list[str]:
    """A line for each wrong output and each attempt that was lost, with its log."""
    lines = []
    for trial in row.trials:
        place = f"{trial.device} r{trial.repeat}" + (f" attempt {trial.attempt + 1}" if trial.attempt else "")
        log = f" (log: {trial.log})" if trial.log else ""
        if trial.failure is not None:
            lines.append(f"{place}: {trial.failure.kind}: {trial.failure.message}{log}")
        wrong = {name: claim for name, claim in trial.claims.items() if not claim.passed}
        lines += [f"{place}: output {name}: {describe(claim)}{log}" for name, claim in wrong.items()]
    return lines


def _verdict(record: RunRecord) -> junitparser.TestCase:
    """The verdict where no file shows why the run did not pass."""
    case = junitparser.TestCase("verdict", "run", 0.0)
    result = junitparser.Error(one_line(xml(record.reason)), "verdict/errored")
    result.text = xml(record.reason)
    case.result = [result]
    return case


def _suite(record: RunRecord, setup: list[tuple[str, str, str]], name: str, rows: list[FileFigures]) -> JunitSuite:
    suite = JunitSuite(xml(name))
    suite.package = xml(record.kernel)
    suite.hostname = xml(record.devices[0].node) if record.devices else "localhost"
    suite.timestamp = timestamp(record.started_at)
    properties = {"run_id": record.run_id, "commit": record.commit, "platform": record.platform}
    properties["devices"] = " ".join(held.id for held in record.devices)
    for name, outcome, log in setup:
        properties[f"set-up.{name}"] = f"{outcome} ({log})" if log else outcome
    for row in rows:
        file = PurePosixPath(row.file.file).name
        properties |= {f"devices.{file}": " ".join(row.devices), f"wall_us.{file}": row.time}
    for key, value in properties.items():
        suite.add_property(xml(key), xml(value))
    suite.add_testcases([_case(row) for row in rows])
    suite.append(junitparser.SystemOut(xml(record.reason)))
    suite.append(junitparser.SystemErr(""))
    return suite
