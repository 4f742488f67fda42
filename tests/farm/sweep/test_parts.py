"""The pure parts of a sweep besides the attribution: speed, unsteadiness, what is due, the journal, the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.analysis.sweep_matrix import Fleet
from farm.errors import UsageError
from farm.gates.self_disagreement import chance, unsteady_cards
from farm.model.program_time import ProgramTime
from farm.model.run import Verdict
from farm.model.sweep import Cell, Kind, SweepPlan
from farm.sweep.journal import CELLS, Journal, JournalError, find
from farm.sweep.schedule import SweepCell, due, first_look, job_of
from farm.sweep.state import State
from farm.sweep.timing_outliers import contradictory_times, odd_times
from jobs.records import Fault
from kernel.clock import Clock
from tests.farm.sweep_samples import CASE, cell, clean, failed, fleet, judged, one_bad, record, request, votes


def odd(medians: list[float], noisy: bool) -> list[str]:
    found = odd_times({CASE: {f"d{number}": us for number, us in enumerate(medians)}}, noisy)
    assert {each.kind for each in found} <= {Kind.ODD_TIME}
    return [device for each in found for device in each.devices]


@pytest.mark.parametrize(
    ("medians", "noisy", "named"),
    [
        ([40.0, 40.0, 40.01, 40.0], False, ["d2"]),
        ([40.0, 40.0, 39.99, 40.0], False, ["d2"]),
        ([40.0, 40.0, 40.004, 40.0], False, []),
        ([40.0, 41.0], False, []),
        ([40.0, 40.0, 41.0], False, ["d2"]),
        ([41.0, 40.0, 41.0], False, ["d1"]),
        ([500.0, 502.0, 498.0, 501.0, 560.0], True, ["d4"]),
        ([500.0, 502.0, 498.0, 501.0, 440.0], True, []),
        ([500.0, 500.0, 500.0, 500.0, 509.0], True, []),
        ([500.0, 500.0, 500.0, 500.0, 511.0], True, ["d4"]),
        ([500.0, 530.0, 470.0, 520.0, 560.0], True, []),
        ([500.0, 502.0, 900.0], True, []),
    ],
)
def test_a_device_that_takes_another_time_is_named(medians: list[float], noisy: bool, named: list[str]) -> None:
    assert odd(medians, noisy) == named


def test_two_times_of_one_program_are_found_between_repeats_and_against_history() -> None:
    cells = [cell("d0", 0), cell("d0", 1, wall_us=20.0), cell("d1", 0)]
    known = {CASE: [ProgramTime("f" * 64, 80.0, "run 1")]}

    own = contradictory_times(cells, {}, ())
    old = contradictory_times([cell("d0"), cell("d1")], known, ())

    assert [(each.kind, each.devices) for each in (*own, *old)] == [(Kind.ODD_TIME, ["d0"]), (Kind.ODD_TIME, ["d0"])]
    assert "20.00 µs (d0) and 40.00 µs (d0)" in own[0].message
    assert "80.00 µs (run 1)" in old[0].message
    assert {each.kind.verdict for each in (*own, *old)} == {Verdict.ERRORED}


def test_times_that_agree_or_are_already_named_are_no_finding() -> None:
    other = cell("d0", 1, wall_us=20.0, fingerprint="e" * 64)

    assert contradictory_times([cell("d0"), cell("d1"), other], {}, ()) == []
    assert contradictory_times([cell("d0"), cell("d1", wall_us=20.0)], {}, {CASE}) == []


def test_one_slow_device_does_not_hide_behind_another() -> None:
    assert odd([500.0, 501.0, 499.0, 500.0, 502.0, 498.0, 700.0, 800.0], noisy=True) == ["d6", "d7"]


def test_chance_is_the_hypergeometric_probability() -> None:
    assert chance(1, 12, 1, 48) == 1.0
    assert chance(2, 12, 2, 48) == pytest.approx(11 / 47)
    assert chance(3, 12, 3, 48) == pytest.approx(11 / 47 * 10 / 46)
    assert chance(2, 12, 3, 48) == pytest.approx(1 - (36 * 35) / (47 * 46))


@pytest.mark.parametrize(
    ("odd_trials", "cards", "unsteady"),
    [
        ({"c0": 1}, 6, set()),
        ({"c0": 5}, 6, {"c0"}),
        ({"c0": 5}, 3, set()),
        ({"c0": 5, "c1": 1}, 6, set()),
        ({"c0": 5, "c1": 5}, 6, set()),
        ({"c0": 5, "c1": 5}, 60, {"c0", "c1"}),
        ({"c0": 5, "c1": 1}, 60, {"c0"}),
        ({f"c{number}": 5 for number in range(4)}, 60, set()),
        ({}, 6, set()),
    ],
)
def test_a_card_is_unsteady_only_where_chance_cannot_explain_it(
    odd_trials: dict[str, int], cards: int, unsteady: set[str]
) -> None:
    trials = {f"c{number}": 12 if f"c{number}" in odd_trials else 6 for number in range(cards)}

    assert unsteady_cards(odd_trials, trials) == unsteady


def done(cells: list[Cell]) -> dict[str, set[SweepCell]]:
    found: dict[str, set[SweepCell]] = {}
    for each in cells:
        found.setdefault(each.device, set()).add(job_of(each))
    return found


def test_the_first_look_goes_through_a_whole_seed_before_the_next() -> None:
    jobs = first_look(request(cases=["a", "b"], seeds=[0, 1]))

    assert [(job.seed, job.case, job.repeat) for job in jobs[:5]] == [
        (0, "a", 0),
        (0, "a", 1),
        (0, "b", 0),
        (0, "b", 1),
        (1, "a", 0),
    ]
    assert len(jobs) == len(set(jobs)) == 8


def test_a_suspect_and_a_steady_device_at_hand_look_again_and_then_nobody() -> None:
    devices = fleet(4)
    names = [each.id for each in devices]
    cells = votes(devices, ["aa", "bb", "aa", "aa"])

    wanted = due(request(), names, done(cells), judged(devices, cells), Fleet.of(devices), at_hand=[names[3]])
    again = cells + [cell(names[number], repeat, "ab"[number == 1]) for number in (1, 3) for repeat in (2, 3)]
    after = due(request(), names, done(again), judged(devices, again), Fleet.of(devices))

    assert wanted == {
        names[1]: [SweepCell(CASE, 0, 2), SweepCell(CASE, 0, 3)],
        names[3]: [SweepCell(CASE, 0, 2), SweepCell(CASE, 0, 3)],
    }
    assert after == {}


def test_nobody_looks_again_before_the_first_look_is_over() -> None:
    devices = fleet(4)
    names = [each.id for each in devices]
    cells = votes(devices, ["aa", "bb", "aa", "aa"])[:3] + votes(devices[2:], ["aa", "aa"])

    wanted = due(request(), names, done(cells), judged(devices, cells), Fleet.of(devices))

    assert wanted[names[1]] == [SweepCell(CASE, 0, 1)]


def plan_of(directory: Path) -> SweepPlan:
    return SweepPlan(
        sweep_id=directory.name,
        request=request(),
        clock=Clock.SIMULATED,
        noisy=False,
        commit="unknown",
        toolchain={},
        addresses={CASE: "a"},
        outputs={CASE: ["kv"]},
        devices=[each.id for each in fleet(2)],
        quarantined=[],
        started_at="2026-11-24T01:00:00+00:00",
    )


def journal(directory: Path) -> Journal:
    made = Journal(directory)
    made.begin(plan_of(directory))
    return made


def test_the_journal_gives_back_what_it_was_given(tmp_path: Path) -> None:
    cells = votes(fleet(2), ["ab", "aa"])
    written = journal(tmp_path / "s1")
    written.save_devices(fleet(2))
    written.append(cells[:1])
    written.append(cells[1:])

    read = Journal(tmp_path / "s1")

    assert (read.plan().sweep_id, read.devices(), read.recover()) == ("s1", fleet(2), cells)


@pytest.mark.parametrize(
    "torn", [b'{"dev', b"\xff\xfe", b"{", b'{"device":"node0/0","case":"tiny","seed":0,"repeat":0']
)
def test_a_line_the_writer_died_in_is_dropped_and_the_next_one_is_whole(tmp_path: Path, torn: bytes) -> None:
    cells = votes(fleet(2), ["aa", "aa"])
    written = journal(tmp_path / "s1")
    written.append(cells[:2])
    with (tmp_path / "s1" / CELLS).open("ab") as file:
        file.write(torn)

    assert written.recover() == cells[:2]
    written.append(cells[2:])
    assert written.recover() == cells


def test_a_damaged_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    written = journal(tmp_path / "s1")
    written.append(votes(fleet(1), ["aa"]))
    path = tmp_path / "s1" / CELLS
    path.write_bytes(b"no json\n" + path.read_bytes())

    with pytest.raises(JournalError, match="line 1"):
        written.recover()


def test_one_process_at_a_time_writes_a_sweep(tmp_path: Path) -> None:
    written = journal(tmp_path / "s1")

    refused = pytest.raises(UsageError, match="going on in another process")
    with written.exclusively(), refused, Journal(tmp_path / "s1").exclusively():
        pass


def test_a_sweep_is_found_by_its_id_its_beginning_or_latest(tmp_path: Path) -> None:
    for name in ("20261124-a", "20261123-b", "20261123-c"):
        journal(tmp_path / name)

    assert find(tmp_path, "latest").name == "20261124-a"
    assert find(tmp_path, "20261124").name == "20261124-a"
    with pytest.raises(UsageError, match="more than one sweep"):
        find(tmp_path, "20261123")
    with pytest.raises(UsageError, match="no sweep 'x'"):
        find(tmp_path, "x")


def test_a_resumed_sweep_makes_lost_trials_again_and_keeps_what_the_kernel_failed(tmp_path: Path) -> None:
    names = [each.id for each in fleet(2)]
    written = journal(tmp_path / "s1")
    lost, guilty = failed(names[0], Fault.NODE), failed(names[0], Fault.KERNEL, repeat=1)
    written.append([lost, guilty, *votes(fleet(2)[1:], ["aa"])])

    state = State.load(written.plan(), written, deadline=0.0)

    assert state.due() == {names[0]: [SweepCell(CASE, 0, 0)]}


def test_a_clean_sweep_passes_and_says_how_much_it_saw() -> None:
    assert clean(6).reason == "12 trials on 6 devices (6 cards) agree bit for bit"


def test_an_odd_device_makes_it_errored_and_a_race_failed() -> None:
    devices = fleet(4)
    race = record(devices, votes(devices, ["ab", "aa", "ab", "aa"]))

    assert one_bad().verdict is Verdict.ERRORED
    assert one_bad().reason.startswith("undecided node0/1: 5 of 6 cards agree on other bits")
    assert (race.verdict, race.reason.split(" ")[0:2]) == (Verdict.FAILED, ["kernel", "races"])


def test_a_device_that_was_not_reached_at_all_is_no_pass_and_a_part_of_one_is() -> None:
    devices = fleet(4)
    without_one = record(devices, votes(devices[:3], ["aa"] * 3))
    without_a_repeat = record(devices, votes(devices, ["aa", "aa", "aa", "a"]))

    assert without_one.verdict is Verdict.ERRORED
    assert devices[3].id in without_one.reason
    assert without_a_repeat.verdict is Verdict.PASSED
    assert "not reached: 1 of 8 trials" in without_a_repeat.reason


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_is_no_pass(count: int) -> None:
    devices = fleet(count)

    assert record(devices, votes(devices, ["aa"] * count)).verdict is Verdict.ERRORED


def test_a_seed_nobody_was_asked_is_no_pass() -> None:
    devices = fleet(2)
    found = record(devices, votes(devices, ["aa", "aa"]), request=request(seeds=[0, 1]))

    assert found.verdict is Verdict.ERRORED
    assert "tiny seed 1" in found.reason
