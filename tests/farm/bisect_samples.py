"""Records of bisects for the tests of their reports: only what a test is about is spelt out."""

from __future__ import annotations

from typing import Any

from farm.model.bisect import (
    Answer,
    BisectRecord,
    BisectRequest,
    CommitOutcome,
    CommitRecord,
    CommitTestRecord,
    MetricName,
    Serial,
    TestedRecord,
)
from jobs.records import Arm, TrialStatus
from kernel.clock import Clock
from tests.farm import samples


def commit(number: int, subject: str = "", parents: int = 1) -> CommitRecord:
    """Commit `number`, whose id is that number over and over."""
    return CommitRecord(
        commit=f"{number:x}" * 40,
        subject=subject or f"Version {number}",
        author="A Person",
        date="2026-11-25T10:00:00+00:00",
        parents=[f"{number - 1:x}" * 40] * parents,
    )


def probe(position: int, number: int, answer: Answer, reason: str = "as it is") -> CommitTestRecord:
    """The test of one commit in round `number`."""
    return CommitTestRecord(
        position=position,
        commit=commit(position).commit,
        round=number,
        device=f"10.0.0.1/{position % 3}",
        answer=answer,
        reason=reason,
        probe_s=12.5,
        trials=[
            TestedRecord(
                arm=Arm.HEAD,
                device=f"10.0.0.1/{position % 3}",
                repeat=0,
                attempt=0,
                status=TrialStatus.OK,
                wall_us=40.0,
                log="logs/trial/platform.log",
                failure=None,
            )
        ],
    )


def bisect(**changes: Any) -> BisectRecord:
    """Eight versions, the sixth of which is slower; found in one round and a half."""
    record = BisectRecord(
        bisect_id="20261125-100000-abcdef",
        outcome=CommitOutcome.FOUND,
        reason=f"{'6' * 12} is the first bad commit: worse: 41.00 µs, 40.00 µs at the good commit",
        request=BisectRequest(
            repository="/repositories/kernels",
            good=commit(0).commit,
            bad=commit(8).commit,
            kernel="qkv_proj_rope",
            case=samples.CASE,
            platform="a2a3sim",
            devices=3,
            metric=MetricName.WALL,
            input_set="documented",
            seed=0,
        ),
        clock=Clock.SIMULATED,
        commits=11,
        candidates=[commit(number) for number in range(9)],
        devices=[f"10.0.0.1/{index}" for index in range(3)],
        probes=[
            probe(0, 0, Answer.GOOD),
            probe(8, 0, Answer.BAD),
            probe(6, 1, Answer.BAD),
            probe(2, 1, Answer.GOOD),
            probe(4, 1, Answer.GOOD),
            probe(5, 2, Answer.GOOD),
        ],
        rounds=2,
        search_s=25.0,
        serial=Serial(probes=3, probe_s=12.5, total_s=37.5),
        suspects=[commit(6).commit],
        last_good=commit(5).commit,
        run_id="20261125-100100-123456",
        started_at="2026-11-25T10:00:00.000+00:00",
        finished_at="2026-11-25T10:01:00.000+00:00",
        directory="/runs/20261125-100000-abcdef",
    )
    return record.model_copy(update=changes)


def interrupted() -> BisectRecord:
    """The same, ended after its first round."""
    return bisect(
        outcome=CommitOutcome.INTERRUPTED,
        reason="interrupted; 1 commits are left to test",
        rounds=1,
        suspects=[commit(5).commit, commit(6).commit],
        last_good=commit(4).commit,
        run_id="",
    )


def narrowed() -> BisectRecord:
    """The same, where the commit before the first bad one does not build."""
    return bisect(
        outcome=CommitOutcome.NARROWED,
        reason="one of 2 commits: those before the first bad one cannot be judged",
        suspects=[commit(5).commit, commit(6).commit],
        last_good=commit(4).commit,
        run_id="",
    )
