"""The verdict of several targets, its one line, and the table."""

from __future__ import annotations

import pytest

from ci.queue import target_texts
from ci.queue.job_targets import TargetRun
from ci.store.states import TargetState
from farm.model.run import Verdict

P, F, E = Verdict.PASSED, Verdict.FAILED, Verdict.ERRORED


def runs(*verdicts: Verdict | None) -> list[TargetRun]:
    """Targets a, b, … that are over with these verdicts; one without is still waiting."""
    return [
        TargetRun(
            position=at,
            name="abcdef"[at],
            plan=None,
            state=TargetState.DONE if verdict else TargetState.WAITING,
            run_id=f"r{at}" if verdict else "",
            verdict=verdict,
            reason=f"why {at}" if verdict else "",
        )
        for at, verdict in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("verdicts", "gravest", "reason"),
    [
        ((P,), P, "why 0"),
        ((F,), F, "why 0"),
        ((P, P), P, "2 targets passed"),
        ((P, E, P), E, "1 of 3 targets errored: b: why 1"),
        ((E, F), F, "1 of 2 targets failed: b: why 1"),
        ((E, P, E), E, "2 of 3 targets errored: a: why 0 (and 1 more)"),
        ((P, None), E, "1 of 2 targets errored: b: not run"),
        ((), E, "no target was run"),
    ],
)
def test_the_gravest_verdict_counts_and_nothing_measured_is_no_pass(
    verdicts: tuple[Verdict | None, ...], gravest: Verdict, reason: str
) -> None:
    assert (target_texts.gravest(runs(*verdicts)), target_texts.reason(runs(*verdicts))) == (gravest, reason)


def test_the_gravest_comes_first() -> None:
    assert [each.name for each in target_texts.ranked(runs(P, None, E, F, P))] == ["d", "c", "a", "e", "b"]


def test_a_row_leads_to_its_run_and_cannot_leave_its_cell() -> None:
    [hostile, waiting] = runs(F, None)
    hostile = TargetRun(0, "a", None, TargetState.DONE, "r0", F, "a | b\n\n# x [y](https://evil.example) @team")

    table = target_texts.table([hostile, waiting], "https://farm.example.org").splitlines()

    assert len(table) == 4 and table[3] == "| `b` | waiting | – | – |"
    assert table[2].count("|") == 5 and table[2].endswith("[r0](https://farm.example.org/runs/r0) |")
    assert "](https://evil" not in table[2] and "@team" not in table[2]


def test_which_target_runs_is_said_of_several_alone() -> None:
    now = [
        TargetRun(at, name, None, TargetState.RUNNING if at == 1 else TargetState.DONE, "r", None, "")
        for at, name in enumerate("abc")
    ]

    assert target_texts.under_way(now) == "b, target 2 of 3: "
    assert target_texts.under_way(now[1:2]) == "" and target_texts.under_way(runs(P, P)) == ""
