"""Every JUnit document of ours, as programs read it that are not the library it is written with."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import xmlschema

from farm.model.run import RunRecord
from farm.report.bisect import junit as bisect_junit
from farm.report.junit import document as junit_document
from farm.report.junit.report import JunitReport
from farm.report.sweep import junit as sweep_junit
from tests.farm import bisect_samples, samples, sweep_samples
from tests.farm.report import test_suite_reports

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[2] / "data" / "junit.xsd"))
TAGS = ("failure", "error", "skipped")


def moved() -> RunRecord:
    """A device was lost, and its trial measured on one that stands in for it."""
    devices = [samples.device(index) for index in range(4)]
    trials = [samples.trial(f"10.0.0.1/{index}", repeat=repeat) for index in range(3) for repeat in range(2)]
    lost, again = samples.lost_trial("10.0.0.1/1"), samples.trial("10.0.0.1/3", attempt=1)
    record = samples.run(devices=devices, trials=[*trials, lost, again])
    return record.model_copy(update={"request": record.request.model_copy(update={"devices": 3})})


def run(make: Callable[[], RunRecord]) -> Callable[[], bytes]:
    return lambda: JunitReport().write(make())


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "run": run(samples.run),
    "replaced": run(moved),
    "wrong": run(samples.tolerance_failure),
    "not built": run(samples.compile_failure),
    "commit": run(samples.from_commit),
    "suite": run(test_suite_reports.record),
    "sweep": lambda: sweep_junit.document(sweep_samples.one_bad()),
    "clean sweep": lambda: sweep_junit.document(sweep_samples.clean()),
    "bisect": lambda: bisect_junit.document(bisect_samples.bisect()),
    "bisect without an answer": lambda: bisect_junit.document(bisect_samples.narrowed()),
    "bisect that was interrupted": lambda: bisect_junit.document(bisect_samples.interrupted()),
}
every_document = pytest.mark.parametrize("make", DOCUMENTS.values(), ids=DOCUMENTS.keys())


def outcomes(content: bytes) -> Counter[str]:
    """How many test cases have which outcome, by the elements themselves."""
    cases = list(ElementTree.fromstring(content).iter("testcase"))
    return Counter(next((child.tag for child in case if child.tag in TAGS), "passed") for case in cases)


@every_document
def test_class_and_name_are_of_one_test_case(make: Callable[[], bytes]) -> None:
    cases = list(ElementTree.fromstring(make()).iter("testcase"))

    named = Counter((case.get("classname"), case.get("name")) for case in cases)
    assert cases
    assert [name for name, count in named.items() if count > 1] == []


@every_document
def test_the_root_has_the_totals_and_the_schema_is_kept(make: Callable[[], bytes]) -> None:
    content = make()
    root = ElementTree.fromstring(content)
    counted = outcomes(content)

    SCHEMA.validate(content.decode())
    assert [int(root.attrib[name]) for name in ("tests", "failures", "errors", "skipped")] == [
        counted.total(),
        counted["failure"],
        counted["error"],
        counted["skipped"],
    ]
    assert float(root.attrib["time"]) == pytest.approx(sum(float(suite.attrib["time"]) for suite in root))


@every_document
def test_xunitparser_reads_the_same_outcomes(make: Callable[[], bytes]) -> None:
    xunitparser = pytest.importorskip("xunitparser")
    content = make()
    counted = outcomes(content)

    seen: Counter[str] = Counter()
    for suite in ElementTree.fromstring(content):
        text = ElementTree.tostring(suite, encoding="unicode")
        cases, result = xunitparser.parse(io.StringIO(text))  # it refuses totals that are not those of the cases
        seen += Counter(tests=len(list(cases)), failure=len(result.failures), error=len(result.errors))
        seen += Counter(skipped=len(result.skipped))

    assert seen == Counter(tests=counted.total(), **{tag: counted[tag] for tag in TAGS if counted[tag]})


@every_document
def test_junit2html_reads_the_same_outcomes(make: Callable[[], bytes]) -> None:
    parser = pytest.importorskip("junit2htmlreport.parser")
    content = make()
    counted = outcomes(content)

    report = parser.Junit(xmlstring=content.decode().partition("?>")[2])

    cases = [case for suite in report for case in suite.all()]
    assert len(cases) == counted.total()
    assert sum(case.skipped is not None for case in cases) == counted["skipped"]
    assert sum(case.failed() for case in cases) == counted["failure"] + counted["error"]  # it does not part the two
    assert len({case.fullname() for case in cases}) == counted.total()


def test_names_are_the_same_whichever_devices_were_leased() -> None:
    def names(first: int) -> list[tuple[str | None, str | None]]:
        devices = [samples.device(index) for index in range(first, first + 3)]
        record = samples.run(devices=devices, trials=[samples.trial(device.id) for device in devices])
        return [
            (case.get("classname"), case.get("name"))
            for case in ElementTree.fromstring(JunitReport().write(record)).iter("testcase")
        ]

    assert names(0) == names(4)


def test_the_device_that_was_leased_is_a_property_of_its_slot() -> None:
    root = ElementTree.fromstring(JunitReport().write(moved()))

    devices = {
        suite.get("name"): found.get("value")
        for suite in root
        for found in suite.iter("property")
        if found.get("name") == "device"
    }
    assert devices == {
        "slot 0": "10.0.0.1/0",
        "slot 1": "10.0.0.1/1",
        "slot 2": "10.0.0.1/2",
        "spare 0": "10.0.0.1/3",
    }


def test_no_directory_of_this_machine_is_in_a_name() -> None:
    content = JunitReport().write(samples.run(kernel="/home/somebody/checkout/mine.py:KERNEL")).decode()

    assert "/home/somebody" not in content
    assert 'classname="mine.py:KERNEL.flash-s2"' in content


@pytest.mark.parametrize("count", [2, 3, 12])
def test_test_cases_of_one_name_are_numbered(count: int) -> None:
    from farm.report.junit.elements import JunitSuite

    suite = JunitSuite("a")
    names = ["x (2)", *["x"] * count]
    suite.add_testcases([_case(name) for name in names])

    root = ElementTree.fromstring(junit_document.document([suite]))

    found = [case.get("name") for case in root.iter("testcase")]
    assert len(set(found)) == count + 1
    assert found[:2] == ["x (2)", "x"]


def _case(name: str) -> object:
    import junitparser

    return junitparser.TestCase(name, "class", 0.0)
