"""Device × output: who agrees, who differs, who disagrees with itself."""

from __future__ import annotations

from farm.analysis.digests import DigestAgreement, matrix
from farm.analysis.figures import measured
from jobs.records import TrialRecord
from tests.farm import planted, samples


def kinds(trials: list[TrialRecord]) -> dict[str, list[str]]:
    return {row.device: [cell.agreement.name for cell in row.cells] for row in matrix(trials).rows}


def test_all_agree() -> None:
    found = matrix(samples.run().trials)

    assert {cell.agreement for row in found.rows for cell in row.cells} == {DigestAgreement.AGREES}
    assert found.outputs == samples.OUTPUTS
    assert found.majority == (True,) * 4


def test_a_device_that_differs_comes_first_and_is_named() -> None:
    found = kinds(samples.odd_device().trials)

    assert next(iter(found)) == "10.0.0.1/2"
    assert found["10.0.0.1/2"] == ["AGREES", "DIFFERS", "AGREES", "AGREES"]
    assert found["10.0.0.1/0"] == ["AGREES"] * 4


def test_a_race_names_the_odd_repeat() -> None:
    record = planted.race()
    first, *others = matrix(measured(record, samples.CASE)).rows

    assert first.device == planted.CULPRIT
    assert (first.cells[1].agreement, first.cells[1].odd_repeats) == (DigestAgreement.RACES, (2,))
    assert not any(row.odd for row in others)


def test_without_a_majority_nobody_is_called_right() -> None:
    trials = [samples.trial(f"n/{index}", outputs={"q": samples.output("q", digest=str(index))}) for index in range(2)]

    found = matrix(trials)

    assert found.majority == (False,)
    assert [row.odd for row in found.rows] == [True, False]


def test_an_output_that_is_missing_is_not_held_against_anybody() -> None:
    trials = [samples.trial("n/0"), samples.trial("n/1", outputs={"q": samples.output("q")})]

    assert kinds(trials)["n/1"] == ["AGREES", "ABSENT", "ABSENT", "ABSENT"]


def test_devices_come_in_counting_order() -> None:
    trials = [samples.trial(f"n/{index}") for index in (10, 2, 1)]

    assert [row.device for row in matrix(trials).rows] == ["n/1", "n/2", "n/10"]


def test_nothing_measured_is_an_empty_matrix() -> None:
    assert matrix([]).rows == ()
