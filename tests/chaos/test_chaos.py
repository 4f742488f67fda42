"""Everything is killed, frozen, cut and filled: each run ends with one verdict, none wrong or lost, no device leaked.

`make test` does so with four runs and each kind of fault once, shortly, `make test-long` with fifty runs.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from farm.model.run import Verdict
from tests.chaos import monkey

RUNS = int(os.environ.get("FARM_CHAOS_RUNS", "4"))
SEED = int(os.environ.get("FARM_CHAOS_SEED", "1"))
# Devices of a killed driver are free within seconds, those of a node that is silent when Ray has given it up.
STRANDED_S = 30.0


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> monkey.Outcome:
    drivers, pace = (2, 2.5) if RUNS < 10 else (3, 1.0)
    return monkey.Monkey(RUNS, SEED, tmp_path_factory.mktemp("chaos"), drivers, pace).run()


@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_chaos_costs_time_and_no_verdict(outcome: monkey.Outcome) -> None:
    told = "\n".join([*outcome.log, *monkey.summary(outcome)])

    assert set(outcome.faults) == outcome.kinds, told
    assert [record.run_id for record in outcome.records if record.verdict is None] == [], told
    assert monkey.wrong_verdicts(outcome) == [], told
    assert set(outcome.wanted) <= {record.run_id for record in outcome.records}, told
    assert outcome.free_at_end == outcome.devices, told
    assert outcome.stranded_s < STRANDED_S, told


@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_every_run_that_was_wanted_came_to_its_own_verdict(outcome: monkey.Outcome) -> None:
    """Those that lost their driver were resumed until they had one; only lost devices leave a run errored."""
    answered = Counter(outcome.wanted[record.run_id] for record in outcome.records if _answered(record.verdict))
    resumed = {record.resumed_from for record in outcome.records}
    open_ends = [each for each in outcome.records if not _answered(each.verdict) and each.run_id not in resumed]

    assert sum(answered.values()) + len(open_ends) == outcome.asked_for
    assert not [record for record in open_ends if record.reason.startswith("interrupted")]


def _answered(verdict: Verdict | None) -> bool:
    return verdict in (Verdict.PASSED, Verdict.FAILED)
