"""Checks that the head is not slower than the merge base, both measured in one run on the same devices, in turn.

A limit in µs compares today's device with that of the day the limit was written; what changes from day to day is far
larger than what a commit changes. Here both programs run on each device in each round, so that cancels.

On an exact clock the two medians are compared as they are. On a noisy one the ratio of medians has an interval
(`farm.stats.bootstrap`), and there are three answers:

- *better or equal*: the whole interval lies within what is allowed;
- *worse*: the whole interval lies above 1, so the head is slower, and the ratio itself above what is allowed;
- *inconclusive*: neither; more rounds can settle it.
"""

from __future__ import annotations

import enum
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from farm.gates.completeness import gaps, other_programs
from farm.gates.protocol import Evidence, gravest, judge_cases, with_status
from farm.model.run import Finding, GateRecord, GateStatus
from farm.stats.bootstrap import ratio_interval
from farm.stats.robust import median
from farm.stats.thresholds import RESOLUTION_US
from farm.text import counted
from jobs.records import Arm, TrialRecord
from kernel.clock import Clock, wall_time

# A run looks up to four times (after 3, 6, 9 and 12 rounds). Four looks at 1 − 0.0182 are wrong together as often as
# one at 95 % (Pocock, Biometrika 64, 1977, table 1).
CONFIDENCE = 0.98
# Fewer rounds over all devices cannot bracket a median with that confidence: 2 · ½ⁿ ≤ 2 % needs n ≥ 7.
FEWEST_ROUNDS = 7
# Rounds are drawn within a device, and one or two of them hardly vary: of such a device the interval would be too sure.
FEWEST_ROUNDS_OF_DEVICE = 3
# What a case allows unless it says otherwise, as a share of the base's time. Noisy: with 2 % noise, 3 devices and 12
# rounds the interval is ± 1.4 % wide, so less could not be answered.
ALLOWED_NOISY = 0.02
ALLOWED_EXACT = 0.0


class RegressionAnswer(str, enum.Enum):
    """What the comparison says of the head."""

    BETTER_OR_EQUAL = "better or equal"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class TimedProgram:
    """One program's wall times in µs of `clock`: device → round → time."""

    clock: Clock
    rounds: Mapping[str, Mapping[int, float]]


Pairs = Mapping[str, list[tuple[float, float]]]  # device → (base, head) of every round that has both


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """Head against base. A ratio of 1.02 means that the head takes 2 % longer."""

    answer: RegressionAnswer
    clock: Clock
    ratio: float  # exact clock: of the device where the head does worst
    interval: tuple[float, float] | None  # of the ratio, on a noisy clock
    allowed: float  # share of the base's time the head may take more
    per_device: dict[str, float]  # device → ratio of its medians
    rounds: int  # measured of both, over all devices


def compare(base: TimedProgram, head: TimedProgram, allowed: float, noisy: bool) -> ArmComparison | None:
    """The head against the base on the devices and in the rounds that have both; None where none has.

    Raises `TypeError` for arms of different clocks, `ValueError` for an `allowed` below 0.
    """
    if base.clock is not head.clock:
        raise TypeError(f"{base.clock.value} and {head.clock.value} µs are different yardsticks")
    if not (math.isfinite(allowed) and allowed >= 0):
        raise ValueError(f"allowed is {allowed}; use a share of at least 0")
    paired = _paired(base, head)
    if not paired:
        return None
    return _compare_noisy(paired, base.clock, allowed) if noisy else _compare_exact(paired, base.clock, allowed)


@dataclass(frozen=True, slots=True)
class MissingArm:
    """Why a case of the base was not run, and what that makes of the gate."""

    status: GateStatus
    why: str


@dataclass(frozen=True, slots=True)
class RegressionGate:
    """Holds each case to the merge base's trials of the same run."""

    name = "regression"

    base: tuple[TrialRecord, ...]  # every attempt
    allowed: Mapping[str, float] = field(default_factory=dict)  # case → share of the base's time; else the default
    missing: Mapping[str, MissingArm] = field(default_factory=dict)  # cases of which there is no base to measure
    programs: Mapping[str, str] = field(default_factory=dict)  # case → fingerprint of the base that was built

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed for worse, inconclusive where noise decides, errored where an arm has no samples, else passed."""
        return judge_cases(self.name, evidence, self._judge_case)

    def undecided_cases(self, evidence: Evidence) -> list[str]:
        """Cases for which more rounds of both arms could still give an answer."""
        judged = {case: self._judge_case(case, evidence)[0] for case in evidence.cases}
        return [case for case, status in judged.items() if status is GateStatus.INCONCLUSIVE]

    def comparisons(self, evidence: Evidence) -> dict[str, ArmComparison]:
        """Case → its comparison, for those that have one."""
        found = {case: self._compare(case, evidence) for case in evidence.cases}
        return {case: comparison for case, comparison in found.items() if comparison is not None}

    def _compare(self, case: str, evidence: Evidence) -> ArmComparison | None:
        default = ALLOWED_NOISY if evidence.noisy else ALLOWED_EXACT
        base = self._of_base(evidence)
        return compare(_arm(case, base), _arm(case, evidence), self.allowed.get(case, default), evidence.noisy)

    def _of_base(self, evidence: Evidence) -> Evidence:
        """The base's trials as evidence; the head's says which devices are suspect."""
        return replace(evidence, trials=self.base, arm=Arm.BASE, programs=self.programs)

    def _doubts(self, case: str, evidence: Evidence) -> list[Finding]:
        """What is missing of either arm, or was not the program that was asked for."""
        found = []
        for arm, of_arm in (("head", evidence), ("merge base", self._of_base(evidence))):
            timed = {(trial.device, trial.repeat) for trial in of_arm.timed(case)}
            trusted = {(trial.device, trial.repeat) for trial in of_arm.trusted(case) if trial.repeat >= 0}
            doubts = [finding.message for finding in (*gaps(of_arm, case), *other_programs(of_arm, case))]
            if lacking := len(trusted - timed):
                doubts.append(f"{lacking} trials have no {of_arm.clock.value} time")
            found += [Finding(message=f"{arm}: {doubt}", case=case) for doubt in doubts]
        return with_status(found, GateStatus.ERRORED)

    def _judge_case(self, case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
        if case in self.missing:
            return self.missing[case].status, [Finding(message=self.missing[case].why, case=case)]
        if not any(trial.case == case for trial in self.base):
            return GateStatus.NOT_APPLICABLE, [Finding(message="the merge base was not run on this case", case=case)]
        comparison = self._compare(case, evidence)
        if comparison is None:
            message = "no device measured both the head and the merge base in one round"
            return GateStatus.ERRORED, [Finding(message=message, case=case)]
        status = _STATUS[comparison.answer]
        described = with_status([Finding(message=describe(comparison), case=case)], status)
        doubts = self._doubts(case, evidence)
        return gravest([status, *([GateStatus.ERRORED] if doubts else [])]), [*described, *doubts]


_STATUS = {
    RegressionAnswer.BETTER_OR_EQUAL: GateStatus.PASSED,
    RegressionAnswer.WORSE: GateStatus.FAILED,
    RegressionAnswer.INCONCLUSIVE: GateStatus.INCONCLUSIVE,
}


def describe(comparison: ArmComparison) -> str:
    """The comparison in one sentence."""
    extent = f"{counted(comparison.rounds, 'round')} on {counted(len(comparison.per_device), 'device')}"
    interval = ""
    if comparison.interval is not None:
        low, high = comparison.interval
        interval = f", {100 * CONFIDENCE:.0f} % interval {low:.4f} to {high:.4f}"
    limit = f"{1 + comparison.allowed:.4f} allowed"
    return f"{comparison.answer.value}: {comparison.ratio:.4f} × the merge base{interval}, {limit}, {extent}"


def _arm(case: str, evidence: Evidence) -> TimedProgram:
    rounds: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in evidence.timed(case):
        if trial.wall_us is not None:
            rounds[trial.device][trial.repeat] = trial.wall_us
    return TimedProgram(evidence.clock, rounds)


def _paired(base: TimedProgram, head: TimedProgram) -> Pairs:
    found = {
        device: [(of_base[number], rounds[number]) for number in sorted(rounds.keys() & of_base.keys())]
        for device, rounds in head.rounds.items()
        for of_base in [base.rounds.get(device, {})]
    }
    return {device: pairs for device, pairs in found.items() if pairs}


def _compare_exact(paired: Pairs, clock: Clock, allowed: float) -> ArmComparison:
    medians = _medians(paired)
    worse = any(
        wall_time(head, clock) - wall_time(base * (1 + allowed), clock) > RESOLUTION_US
        for base, head in medians.values()
    )
    ratios = _ratios(paired)
    answer = RegressionAnswer.WORSE if worse else RegressionAnswer.BETTER_OR_EQUAL
    return ArmComparison(answer, clock, max(ratios.values()), None, allowed, ratios, _count(paired))


def _compare_noisy(paired: Pairs, clock: Clock, allowed: float) -> ArmComparison:
    often = {device: pairs for device, pairs in paired.items() if len(pairs) >= FEWEST_ROUNDS_OF_DEVICE}
    enough = _count(often) >= FEWEST_ROUNDS
    counted = often if enough else paired
    found = ratio_interval(counted, CONFIDENCE)
    answer = RegressionAnswer.INCONCLUSIVE
    if enough and found.high <= 1 + allowed:
        answer = RegressionAnswer.BETTER_OR_EQUAL
    elif enough and found.low > 1 and found.ratio > 1 + allowed:
        answer = RegressionAnswer.WORSE
    interval = (found.low, found.high)
    return ArmComparison(answer, clock, found.ratio, interval, allowed, _ratios(counted), _count(counted))


def _medians(paired: Pairs) -> dict[str, tuple[float, float]]:
    return {
        device: (median([base for base, _ in pairs]), median([head for _, head in pairs]))
        for device, pairs in paired.items()
    }


def _ratios(paired: Pairs) -> dict[str, float]:
    return {device: head / base for device, (base, head) in _medians(paired).items()}


def _count(paired: Pairs) -> int:
    return sum(len(pairs) for pairs in paired.values())
