"""The store's contract, on SQLite always and on PostgreSQL where one is given."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

import pytest
from sqlalchemy import update

from farm.errors import UnknownRunError, UsageError
from farm.model.run import Verdict
from farm.store.engine import open_engine, transaction
from farm.store.run_store import AmbiguousRunError, RunExistsError, Store, VerdictExistsError
from farm.store.tables import RUN as RUN_TABLE
from jobs.records import Fault
from kernel.clock import Clock
from tests.farm import samples
from tests.processes import forking_context

RUN = samples.running().run_id


def in_another_process(body: Callable[[str], None], url: str) -> int | None:
    """The exit code of a process of its own that calls `body`."""
    process = forking_context().Process(target=body, args=(url,))
    process.start()
    process.join(60)
    return process.exitcode


def test_a_finished_run_comes_back_as_it_was(store: Store) -> None:
    record = samples.tolerance_failure()
    store.begin(samples.running(record.run_id))

    store.finish(record)

    assert store.get(record.run_id) == record


def test_a_run_and_its_trials_are_visible_to_another_connection_before_it_ends(store: Store, url: str) -> None:
    store.begin(samples.running())
    store.save_trials(RUN, [samples.trial("10.0.0.1/0", 0)])
    store.save_trials(RUN, [samples.lost_trial("10.0.0.1/1", 0)])

    with Store.open(url) as other:
        found = other.get(RUN)

    assert found.verdict is None
    assert found.trials == [samples.trial("10.0.0.1/0", 0), samples.lost_trial("10.0.0.1/1", 0)]


def test_finish_replaces_the_trials_saved_on_the_way(store: Store) -> None:
    store.begin(samples.running())
    store.save_trials(RUN, [samples.trial("10.0.0.1/0", 0)])

    store.finish(samples.run(run_id=RUN))

    assert store.get(RUN).trials == samples.run().trials


def test_update_keeps_what_became_known_while_running(store: Store) -> None:
    store.begin(samples.running(devices=[]))
    store.save_trials(RUN, [samples.trial("10.0.0.1/0", 0)])

    store.update(samples.running(devices=[samples.device(0)], builds=[samples.build()]))

    found = store.get(RUN)
    assert found.devices == [samples.device(0)]
    assert found.builds == [samples.build()]
    assert len(found.trials) == 1


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_is_never_changed(store: Store, verdict: Verdict) -> None:
    store.begin(samples.running())
    store.finish(samples.run(run_id=RUN, verdict=verdict))

    with pytest.raises(VerdictExistsError, match=f"already {verdict.value}"):
        store.finish(samples.run(run_id=RUN, verdict=Verdict.PASSED))
    with pytest.raises(VerdictExistsError):
        store.save_trials(RUN, [samples.trial("10.0.0.1/0")])
    with pytest.raises(VerdictExistsError):
        store.update(samples.running())
    store.interrupt(RUN, "too late")

    assert store.get(RUN).verdict is verdict
    assert store.get(RUN).reason == "all gates passed"
    assert [run.run_id for run in store.list(verdict=verdict)] == [RUN]


def test_a_run_cannot_finish_without_a_verdict(store: Store) -> None:
    store.begin(samples.running())

    with pytest.raises(ValueError, match="without a verdict"):
        store.finish(samples.running())


def test_an_id_is_used_once(store: Store) -> None:
    store.begin(samples.running())

    with pytest.raises(RunExistsError, match=RUN):
        store.begin(samples.running())


def test_finishing_or_measuring_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(UnknownRunError):
        store.finish(samples.run())
    with pytest.raises(UnknownRunError):
        store.save_trials("nobody", [samples.trial("10.0.0.1/0")])


def test_a_unique_prefix_names_a_run(store: Store) -> None:
    for run_id in ("20261123-aa1", "20261123-ab2", "20261123-ab"):
        store.begin(samples.running(run_id))

    assert store.get("20261123-aa").run_id == "20261123-aa1"
    assert store.get("20261123-ab").run_id == "20261123-ab", "a whole id wins over longer ones"
    with pytest.raises(AmbiguousRunError, match="20261123-aa1, 20261123-ab, 20261123-ab2"):
        store.get("20261123-a")
    for unknown in ("20261124", "", "%", "20261123_aa1", "20261123-AA1"):
        with pytest.raises(UnknownRunError):
            store.get(unknown)


def test_latest_is_the_one_started_last(store: Store) -> None:
    with pytest.raises(UnknownRunError, match="the store has no run yet"):
        store.latest()
    store.begin(samples.running("b", started_at="2026-11-23T10:00:00.000+00:00"))
    store.begin(samples.running("a", started_at="2026-11-23T11:00:00.000+00:00"))

    assert store.latest().run_id == "a"


@pytest.mark.parametrize("typed", ["20261123-104500-abcdeg", "20261123-10450x", "20261124-1045"])
def test_a_mistyped_run_is_answered_with_the_one_that_is_near(store: Store, typed: str) -> None:
    store.begin(samples.running("20261123-104500-abcdef"))

    with pytest.raises(UnknownRunError, match=r"did you mean '20261123-104500-abcdef'\?"):
        store.get(typed)
    with pytest.raises(UnknownRunError, match=r"no run 'other' in the store; `farm runs`"):
        store.get("other")


def test_list_is_newest_first_and_filters(store: Store) -> None:
    for number, verdict in enumerate([Verdict.PASSED, Verdict.FAILED, Verdict.PASSED]):
        run_id = f"run-{number}"
        store.begin(samples.running(run_id))
        kernel = "other" if number == 0 else "qkv_proj_rope"
        started = f"2026-11-23T1{number}:00:00.000+00:00"
        store.finish(samples.run(run_id=run_id, verdict=verdict, kernel=kernel, started_at=started))
    store.begin(samples.running("run-3", started_at="2026-11-23T14:00:00.000+00:00"))

    assert [run.run_id for run in store.list()] == ["run-3", "run-2", "run-1", "run-0"]
    assert [run.run_id for run in store.list(limit=2)] == ["run-3", "run-2"]
    assert [run.run_id for run in store.list(kernel="other")] == ["run-0"]
    assert [run.run_id for run in store.list(verdict=Verdict.PASSED)] == ["run-2", "run-0"]
    assert store.list(verdict=Verdict.ERRORED) == []
    newest, finished = store.list(limit=2)
    assert (newest.verdict, newest.median_us) == (None, {})
    assert (finished.verdict, finished.median_us) == (Verdict.PASSED, {samples.CASE: 76.64})
    assert finished.devices == ("10.0.0.1/0", "10.0.0.1/1", "10.0.0.1/2")


def test_a_run_that_cannot_be_read_costs_a_line_and_no_other_run(store: Store, url: str) -> None:
    for run_id in ("run-0", "run-1"):
        store.begin(samples.running(run_id))
        store.finish(samples.run(run_id=run_id))
    newer = store.outline("run-1").model_copy(update={"schema_version": "99.0"}).model_dump_json()
    engine = open_engine(url, print)
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(RUN_TABLE).where(RUN_TABLE.c.id == "run-1").values(record=newer))
    engine.dispose()

    said: list[str] = []
    with Store.open(url, said.append) as reader:
        listed = [run.run_id for run in reader.list()]
        remembered = [point.run_id for point in reader.history("qkv_proj_rope", samples.CASE, "a2a3sim")]
        with pytest.raises(UsageError, match=r"run run-1 in the store is not a report .* schema version 99\.0"):
            reader.get("run-1")

    assert (listed, remembered) == (["run-0"], ["run-0"])
    assert len(said) == 1 and "left out, because they cannot be read: 1" in said[0] and "run-1" in said[0]


def test_history_gives_one_cases_medians_oldest_first(store: Store) -> None:
    for number, us in enumerate([80.0, 78.0, 76.0]):
        trials = [samples.trial("10.0.0.1/0", repeat, wall_us=us) for repeat in range(3)]
        record = samples.run(run_id=f"run-{number}", trials=trials, started_at=f"2026-11-2{number}T10:00:00.000+00:00")
        store.begin(samples.running(record.run_id))
        store.finish(record)
    store.begin(samples.running("run-3"))

    history = store.history("qkv_proj_rope", samples.CASE, "a2a3sim")

    assert [(point.run_id, point.median.overall) for point in history] == [
        ("run-0", 80.0),
        ("run-1", 78.0),
        ("run-2", 76.0),
    ]
    assert history[0].median.clock is Clock.SIMULATED
    assert [point.run_id for point in store.history("qkv_proj_rope", samples.CASE, "a2a3sim", limit=1)] == ["run-2"]
    assert store.history("qkv_proj_rope", "flash-s1", "a2a3sim") == []
    assert store.history("qkv_proj_rope", samples.CASE, "a2a3") == []


def test_devices_remember_their_last_run(store: Store) -> None:
    store.begin(samples.running("one", devices=[samples.device(0), samples.device(1)]))
    first = store.devices()
    store.begin(samples.running("two", devices=[samples.device(1)]))

    again = store.devices()

    assert [(seen.id, seen.last_run) for seen in again] == [("10.0.0.1/0", "one"), ("10.0.0.1/1", "two")]
    assert again[1].last_seen >= first[1].last_seen
    assert (again[0].soc, again[0].node) == ("Ascend910B1-sim", "10.0.0.1")


def begin_and_be_killed(url: str) -> None:
    with Store.open(url) as store:
        store.begin(samples.running())
        store.save_trials(RUN, [samples.trial("10.0.0.1/0", 0)])
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_keeps_its_trials_and_is_settled_once(store: Store, url: str) -> None:
    assert in_another_process(begin_and_be_killed, url) == -signal.SIGKILL

    found = store.get(RUN)

    assert found.verdict is Verdict.ERRORED
    assert found.reason.startswith("interrupted: process ")
    assert found.finished_at is not None
    assert found.trials == [samples.trial("10.0.0.1/0", 0)]
    assert [(failure.fault, failure.kind) for failure in found.failures] == [(Fault.FARM, "interrupted")]
    assert [run.verdict for run in store.list(verdict=Verdict.ERRORED)] == [Verdict.ERRORED]
    with pytest.raises(VerdictExistsError):
        store.finish(samples.run(run_id=RUN))
    assert store.get(RUN) == found


def look(url: str) -> None:
    with Store.open(url) as store:
        assert store.get(RUN).verdict is None
        assert store.list()[0].verdict is None


def test_a_run_whose_process_lives_is_left_alone(store: Store, url: str) -> None:
    store.begin(samples.running())

    assert in_another_process(look, url) == 0

    store.finish(samples.run(run_id=RUN))
    assert store.get(RUN).verdict is Verdict.PASSED


def write_runs(url: str, name: str, count: int) -> None:
    """In a process of its own."""
    with Store.open(url) as store:
        for number in range(count):
            run = f"{name}-{number}"
            store.begin(samples.running(run))
            for repeat in range(3):
                store.save_trials(run, [samples.trial("10.0.0.1/0", repeat)])
            store.finish(samples.run(run_id=run))


def test_two_processes_write_at_once_and_nothing_is_lost(store: Store, url: str) -> None:
    context = forking_context()
    writers = [context.Process(target=write_runs, args=(url, name, 10)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)

    assert [writer.exitcode for writer in writers] == [0, 0]
    runs = store.list(limit=100)
    assert {run.run_id for run in runs} == {f"{name}-{number}" for name in ("left", "right") for number in range(10)}
    assert {run.verdict for run in runs} == {Verdict.PASSED}
    assert len(store.get("right-9").trials) == 9


def race(url: str, verdict: Verdict, start: Barrier) -> None:
    """In a process of its own; its exit code is 7 where the other one was first."""
    with Store.open(url) as store:
        start.wait()
        try:
            store.finish(samples.run(run_id=RUN, verdict=verdict))
        except VerdictExistsError:
            sys.exit(7)


def test_two_processes_race_for_one_verdict_and_one_wins(store: Store, url: str) -> None:
    store.begin(samples.running())
    context = forking_context()
    start = context.Barrier(2)
    racers = {
        verdict: context.Process(target=race, args=(url, verdict, start))
        for verdict in (Verdict.PASSED, Verdict.FAILED)
    }
    for racer in racers.values():
        racer.start()
    for racer in racers.values():
        racer.join(60)

    codes = {verdict: racer.exitcode for verdict, racer in racers.items()}
    assert sorted(code for code in codes.values() if code is not None) == [0, 7]
    assert store.get(RUN).verdict is next(verdict for verdict, code in codes.items() if code == 0)


def test_text_a_database_cannot_hold_is_no_obstacle(store: Store) -> None:
    store.begin(samples.running())

    store.finish(samples.run(run_id=RUN, reason="a\0b", commit="'; DROP TABLE run; --"))

    assert store.get(RUN).reason == "a\0b"
    assert store.list()[0].commit == "'; DROP TABLE run; --"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("nonsense", "URL"),
        ("nosuchdb://host/x", "URL"),
        ("mysql+nodriver://host/x", "URL"),
        ("oracle+oracledb://host/x", "oracledb"),
    ],
)
def test_a_wrong_url_is_a_usage_error_in_one_line(wrong: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Store.open(wrong)

    assert "\n" not in str(caught.value)
