"""Which stage is named where a time is over its limit, with and without a run to compare with."""

from __future__ import annotations

from farm.analysis.stages import StageTime
from farm.report.run.first_findings import MedianStages, slow_stage


def stage(name: str, total_us: float, critical_us: float, base_us: float, base_critical_us: float) -> StageTime:
    """One task of `name`, and as much of a baseline."""
    return StageTime(name, 1, total_us, total_us, critical_us, 0.25, base_us, base_critical_us)


def named(*stages: StageTime, against: str = "run before") -> str:
    return " ".join(slow_stage(MedianStages("tiny", stages, against)))


def test_the_stage_that_takes_more_of_the_critical_path_is_named_first() -> None:
    matmul, silu = stage("matmul", 4.0, 4.0, 2.0, 2.0), stage("silu", 9.0, 1.0, 1.0, 1.0)

    assert "stage matmul grew most against run before: +2.00 µs over all cores" in named(matmul, silu)


def test_a_stage_in_more_tasks_is_named_although_its_part_of_the_path_is_shorter() -> None:
    matmul, silu = stage("matmul", 2.22, 2.22, 2.22, 2.22), stage("silu", 8.80, 1.10, 1.27, 1.27)

    assert named(matmul, silu) == (
        "Case tiny: stage silu grew most against run before: +7.53 µs over all cores, -0.17 µs on the critical path."
    )


def test_where_nothing_grew_the_longest_part_of_the_path_is_named() -> None:
    matmul, silu = stage("matmul", 2.0, 2.0, 2.0, 2.0), stage("silu", 1.0, 1.0, 1.5, 1.5)

    assert "the longest part of the critical path is stage matmul" in named(matmul, silu)
