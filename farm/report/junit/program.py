"""The suites of a run whose program comes from a commit: whose rules judged it, what kept it apart, and its merge base.

What does not decide the verdict is never red: changed rules, an implausible gain and a missing sandbox are `<skipped>`
with the words that a reader has to see, and passed where there is nothing to see.
"""

from __future__ import annotations

import junitparser

from farm.analysis import plausible_gain
from farm.model.run import BaseRecord, GateStatus, RunRecord, SourceRecord
from farm.report.junit.cases import PASSED, CaseOutcome, case_of, skipped, suite_of
from farm.report.junit.elements import JunitSuite
from farm.report.run import provenance
from farm.report.run.merge_base import BaseCase, base_cases, sentence


def suites(record: RunRecord) -> list[JunitSuite]:
    """None where the installed program was run."""
    found = [] if record.source is None else [_program(record, record.source)]
    return found if record.base is None else [*found, _merge_base(record, record.base)]


def _program(record: RunRecord, source: SourceRecord) -> JunitSuite:
    properties = {
        "source.commit": source.commit,
        "source.place": source.place,
        "source.tree": source.tree,
        "rules.compared_with": provenance.against(source),
    }
    for number, path in enumerate(source.rule_changes):
        properties[f"rules.changed.{number}"] = path
    gained = plausible_gain.implausible(record)
    cases = [
        case_of(record, "run", "rules", 0.0, skipped(provenance.rules(source)) if source.rule_changes else PASSED),
        case_of(record, "run", "gain", 0.0, skipped(provenance.gain(record)) if gained else PASSED),
        case_of(record, "run", "isolation", 0.0, _isolation(record)),
    ]
    return suite_of(record, "program", "", properties, cases)


def _isolation(record: RunRecord) -> CaseOutcome:
    told = provenance.isolation(record)
    if not told:
        return skipped("no device ran the program")
    lacking = [f"not isolated on {', '.join(each.devices)}: {each.lacks}" for each in told if each.lacks]
    return skipped("\n".join(lacking)) if lacking else PASSED


def _merge_base(record: RunRecord, base: BaseRecord) -> JunitSuite:
    found = base_cases(record)
    properties = {"base.commit": base.commit, "base.tree": base.tree or "none"}
    for each in found:
        properties |= {f"{name}.{each.case}": value for name, value in _numbers(each).items()}
    return suite_of(record, "merge base", "", properties, [_measured(record, each) for each in found])


def _numbers(of_case: BaseCase) -> dict[str, str]:
    numbers = {"base.samples_us": " ".join(map(str, of_case.samples_us))}
    numbers |= {"base.median_us": str(of_case.base_us)} if of_case.base_us is not None else {}
    numbers |= {"head.median_us": str(of_case.head_us)} if of_case.head_us is not None else {}
    comparison = of_case.comparison
    if comparison is None:
        return numbers
    numbers |= {"answer": comparison.answer, "ratio": str(comparison.ratio), "allowed": str(comparison.allowed)}
    numbers |= {"rounds": str(comparison.rounds), "answer.sentence": sentence(of_case)}
    return numbers | ({"ratio.interval": " ".join(map(str, comparison.interval))} if comparison.interval else {})


def _measured(record: RunRecord, of_case: BaseCase) -> junitparser.TestCase:
    """Whether the base was measured; the answer of the comparison is the regression gate's suite."""
    outcome = PASSED
    if of_case.comparison is None and of_case.status is GateStatus.ERRORED:
        outcome = CaseOutcome(GateStatus.ERRORED, "merge-base", of_case.note)
    elif of_case.comparison is None:
        outcome = skipped(of_case.note)
    return case_of(record, of_case.case, "merge base", 0.0, outcome)
