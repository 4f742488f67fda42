"""What differs between two runs: times, stages, bits. A pure function on their records."""

from __future__ import annotations

from dataclasses import dataclass

from farm.analysis.figures import measured, median_trial
from farm.analysis.stages import StageTime, profile, stage_times
from farm.errors import UsageError
from farm.model.run import MedianRecord, RunRecord
from farm.stats.robust import median_interval
from kernel.clock import Clock
from kernel.file_kernels import is_path


class ClocksDifferError(UsageError):
    """One run has simulated times, the other measured ones."""

    def __init__(self, left: RunRecord, right: RunRecord) -> None:
        self.clocks = left.clock, right.clock
        super().__init__(
            f"run {left.run_id} has {left.clock.value} times and run {right.run_id} {right.clock.value} ones: "
            "different yardsticks, which are not compared"
        )


@dataclass(frozen=True, slots=True)
class Side:
    """What one run measured of one case, in µs of the comparison's clock."""

    median_us: float | None
    interval_us: tuple[float, float] | None  # 95 % of the median; None for too few samples, or an exact clock
    samples: int
    verdict: str


@dataclass(frozen=True, slots=True)
class DigestPair:
    """One output's bits in both runs; each side is the set of digests its trials gave."""

    output: str
    left: tuple[str, ...]
    right: tuple[str, ...]

    @property
    def same(self) -> bool:
        """True where every trial of both runs gave the same bits."""
        return len(self.left) == 1 and self.left == self.right


@dataclass(frozen=True, slots=True)
class CaseComparison:
    """One case of both runs."""

    case: str
    left: Side
    right: Side
    stages: tuple[StageTime, ...]  # of the right run's median trial, with the left one's as baseline
    digests: tuple[DigestPair, ...]  # empty where the inputs differ
    inputs_differ: bool  # other input set or seed, so other bits mean nothing

    @property
    def delta_us(self) -> float | None:
        """How much longer the right run takes."""
        if self.left.median_us is None or self.right.median_us is None:
            return None
        return self.right.median_us - self.left.median_us

    @property
    def change(self) -> float | None:
        """The difference as a share of the left median; negative is faster."""
        return self.delta_us / self.left.median_us if self.delta_us is not None and self.left.median_us else None

    @property
    def apart(self) -> bool | None:
        """Whether the two intervals do not touch; None where there are none to ask."""
        left, right = self.left.interval_us, self.right.interval_us
        if left is None or right is None:
            return None
        return left[1] < right[0] or right[1] < left[0]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs, and the cases they have in common."""

    left: RunRecord
    right: RunRecord
    clock: Clock
    cases: tuple[CaseComparison, ...]
    only_left: tuple[str, ...]  # cases the other run does not have
    only_right: tuple[str, ...]
    tuning: tuple[tuple[str, str, str, str], ...]  # case, knob, left value, right value, where they differ
    toolchain: tuple[tuple[str, str, str], ...]  # name, left version, right version, where they differ


def compare(left: RunRecord, right: RunRecord) -> RunComparison:
    """What changed from `left` to `right`. Raises `ClocksDifferError`, and `UsageError` where no case is in both."""
    if left.clock is not right.clock:
        raise ClocksDifferError(left, right)
    common = [case for case in left.cases if case in right.cases]
    variants = is_path(left.kernel) and is_path(right.kernel)  # two files with the same cases
    if (left.kernel != right.kernel and not variants) or not common:
        raise UsageError(
            f"run {left.run_id} is {left.kernel} on {', '.join(left.cases)}, run {right.run_id} is {right.kernel} on "
            f"{', '.join(right.cases)}: they have no case in common"
        )
    return RunComparison(
        left=left,
        right=right,
        clock=left.clock,
        cases=tuple(_case(left, right, case) for case in common),
        only_left=tuple(case for case in left.cases if case not in right.cases),
        only_right=tuple(case for case in right.cases if case not in left.cases),
        tuning=tuple(_tuning(left, right, common)),
        toolchain=tuple(_differences(left.toolchain, right.toolchain)),
    )


def _case(left: RunRecord, right: RunRecord, case: str) -> CaseComparison:
    profiles = [profile(list(trial.tasks)) if (trial := median_trial(run, case)) else None for run in (left, right)]
    differ = not _same_inputs(left, right)
    return CaseComparison(
        case=case,
        left=_side(left, case),
        right=_side(right, case),
        stages=tuple(stage_times(profiles[1], profiles[0])) if profiles[0] and profiles[1] else (),
        digests=() if differ else tuple(_digests(left, right, case)),
        inputs_differ=differ,
    )


def _same_inputs(left: RunRecord, right: RunRecord) -> bool:
    """Whether both runs had the same operands. A suite's file draws its own in every run, unless a seed decides."""
    same = (left.request.input_set, left.request.seed) == (right.request.input_set, right.request.seed)
    return same and all(run.harness is None or run.harness.seeded for run in (left, right))


def _side(run: RunRecord, case: str) -> Side:
    median: MedianRecord | None = run.median_us.get(case)
    samples = median.samples if median else []
    exact = run.clock is Clock.SIMULATED
    return Side(
        median_us=median.overall if median else None,
        interval_us=None if exact else median_interval(samples),
        samples=len(samples),
        verdict=_verdict(run, case),
    )


def _verdict(run: RunRecord, case: str) -> str:
    """The run's; of a suite the status of the one target."""
    files = run.harness.files if run.harness is not None else []
    status = next((each.status.value for each in files if each.file == case), "")
    return status or (run.verdict.value if run.verdict else "running")


def _digests(left: RunRecord, right: RunRecord, case: str) -> list[DigestPair]:
    found: list[dict[str, set[str]]] = [{}, {}]
    for side, run in enumerate((left, right)):
        for trial in measured(run, case):
            for name, output in trial.outputs.items():
                found[side].setdefault(name, set()).add(output.sha256)
            for name, claim in trial.claims.items():
                if claim.sha256:
                    found[side].setdefault(name, set()).add(claim.sha256)
    return [
        DigestPair(name, tuple(sorted(found[0].get(name, ()))), tuple(sorted(found[1].get(name, ()))))
        for name in {**found[0], **found[1]}
    ]


def _tuning(left: RunRecord, right: RunRecord, cases: list[str]) -> list[tuple[str, str, str, str]]:
    found = []
    for case in cases:
        knobs = [next((build.tuning for build in run.builds if build.case == case), {}) for run in (left, right)]
        sides = [{name: str(value) for name, value in side.items()} for side in knobs]
        found += [(case, *difference) for difference in _differences(*sides)]
    return found


def _differences(left: dict[str, str], right: dict[str, str]) -> list[tuple[str, str, str]]:
    """Name, left value, right value of whatever is not the same; "–" where a side does not have it."""
    return [
        (name, left.get(name, "–"), right.get(name, "–"))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    ]
