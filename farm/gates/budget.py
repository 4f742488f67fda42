"""The median wall time is within the case's budget, and what "within" means where time is noisy.

On a simulated clock a median is exact, so it is compared as it is, with the ceiling and with the ratchet. On a noisy
clock a median is an estimate, and the question is a sign test: were the true median at the limit, each sample would lie
above it with probability ½ (Conover, Practical Nonparametric Statistics, §3.4). The case passes where so few samples of
all devices lie above, and fails where so few of all devices or of one lie below, that chance hardly explains it. A run
asks that question up to `looks` times, and to fail of each device beside the whole, so `ERROR` is divided by all the
questions (Bonferroni). What is neither asks for more samples, and is `inconclusive` once the cap is reached.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.gates.completeness import gaps
from farm.gates.protocol import Evidence, gravest, judge_cases, with_status
from farm.model.budgets import Budget
from farm.model.run import BudgetRecord, Finding, GateRecord, GateStatus, MedianRecord
from farm.stats.robust import binomial_tail, median, median_absolute_deviation, median_interval
from farm.stats.thresholds import RESOLUTION_US
from kernel.clock import WallTime, wall_time

# Of runs of a kernel exactly at its limit, the share that may fail, and the share that may pass.
ERROR = 0.05
# A device whose samples a median at the limit gives this rarely may be over it, so the case does not pass yet: all of
# three samples above it, for example.
DOUBT = 1 / 8


class BudgetGate:
    """Holds each case's median, over all devices and on each device, to its budget."""

    name = "budget"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed over budget, inconclusive where noise decides, errored without samples, else passed or idle."""
        return judge_cases(self.name, evidence, _judge_case)


def undecided_cases(evidence: Evidence) -> list[str]:
    """Cases for which more samples could still turn an inconclusive budget into an answer."""
    return [case for case in evidence.cases if _judge_case(case, evidence)[0] is GateStatus.INCONCLUSIVE]


def medians(evidence: Evidence) -> dict[str, MedianRecord]:
    """Medians of every case from its trusted trials; a case without samples has none."""
    records = {}
    for case in evidence.cases:
        by_device = _samples(case, evidence)
        samples = [us for of_device in by_device.values() for us in of_device]
        interval = median_interval(samples) if evidence.noisy else None
        records[case] = MedianRecord(
            clock=evidence.clock,
            per_device={device: median(of_device) for device, of_device in by_device.items()},
            overall=median(samples) if samples else None,
            mad_us=median_absolute_deviation(samples) if samples else None,
            samples=samples,
            interval_us=list(interval) if interval else None,
        )
    return records


def budget_records(evidence: Evidence) -> dict[str, BudgetRecord]:
    """What every case with a budget was held to."""
    return {
        case: BudgetRecord(
            clock=evidence.clock,
            ceiling_us=budget.ceiling_us,
            ratchet_us=budget.ratchet_us,
            source=budget.source,
        )
        for case, budget in evidence.budgets.items()
    }


def _samples(case: str, evidence: Evidence) -> dict[str, list[float]]:
    by_device: dict[str, list[float]] = defaultdict(list)
    for trial in evidence.timed(case):
        if trial.wall_us is not None:
            by_device[trial.device].append(trial.wall_us)
    return dict(by_device)


def _judge_case(case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
    by_device = _samples(case, evidence)
    if not by_device:
        return GateStatus.ERRORED, [Finding(message="no wall time was measured", case=case)]
    findings = with_status([*gaps(evidence, case), *_untimed(case, evidence)], GateStatus.ERRORED)
    budget = evidence.budgets.get(case)
    status, found = (
        GateStatus.NOT_APPLICABLE,
        [Finding(message="the budget file has no entry for this case", case=case)],
    )
    if budget is not None and budget.limit_us is not None:
        judge = _judge_noisy if evidence.noisy else _judge_exact
        status, found = judge(case, by_device, budget, evidence)
    if not findings:
        return status, found
    return gravest([status, GateStatus.ERRORED]), with_status(found, status) + findings


def _untimed(case: str, evidence: Evidence) -> list[Finding]:
    """A finding where trusted trials have no time of the right clock."""
    trusted = [trial for trial in evidence.trusted(case) if trial.repeat >= 0]
    without = len(trusted) - len(evidence.timed(case))
    if not without:
        return []
    return [Finding(message=f"{without} of {len(trusted)} trials have no {evidence.clock.value} time", case=case)]


def _judge_exact(
    case: str, by_device: dict[str, list[float]], budget: Budget, evidence: Evidence
) -> tuple[GateStatus, list[Finding]]:
    over: list[Finding] = []
    for device, samples in sorted(by_device.items()):
        took = wall_time(median(samples), evidence.clock)
        if budget.ceiling_us is not None and _exceeds(took, wall_time(budget.ceiling_us, evidence.clock)):
            message = f"median {took.us:.2f} µs is over the ceiling of {budget.ceiling_us:.2f} µs"
            over.append(Finding(message=message, case=case, device=device))
        elif budget.ratchet_us is not None and _exceeds(took, wall_time(budget.ratchet_us, evidence.clock)):
            message = (
                f"median {took.us:.2f} µs is slower than the best landed {budget.ratchet_us:.2f} µs; make it as fast, "
                "or add a slower entry with a written reason to the kernel's budget file"
            )
            over.append(Finding(message=message, case=case, device=device))
    if over:
        return GateStatus.FAILED, over
    return GateStatus.PASSED, _improvement(case, by_device, budget)


def _exceeds(took: WallTime, limit: WallTime) -> bool:
    return took - limit > RESOLUTION_US


def _improvement(case: str, by_device: dict[str, list[float]], budget: Budget) -> list[Finding]:
    slowest = max(median(samples) for samples in by_device.values())
    if budget.ratchet_us is None or slowest > budget.ratchet_us - RESOLUTION_US:
        return []
    message = (
        f"faster than the best landed {budget.ratchet_us:.2f} µs: land {slowest:.2f} µs in the kernel's budget file"
    )
    return [Finding(message=message, case=case)]


@dataclass(frozen=True, slots=True)
class NoisyAnswer:
    """What samples on a noisy clock say of a limit."""

    status: GateStatus
    over: bool = False  # the samples of all devices together are over it
    devices_over: tuple[str, ...] = ()  # those whose own samples are


def compare_noisy(by_device: Mapping[str, Sequence[float]], limit: float, looks: int) -> NoisyAnswer:
    """Hold the samples of each device, in µs, to `limit`; `looks` is how often the run may ask, this time included."""
    everything = [us for samples in by_device.values() for us in samples]
    questions = looks * (1 if len(by_device) == 1 else 1 + len(by_device))
    over = _over(everything, limit, ERROR / questions)
    slow = tuple(device for device, us in sorted(by_device.items()) if _over(us, limit, ERROR / questions))
    if over or slow:
        return NoisyAnswer(GateStatus.FAILED, over, slow)
    doubtful = any(_over(us, limit, DOUBT) for us in by_device.values())
    within = not doubtful and _within(everything, limit, ERROR / looks)
    return NoisyAnswer(GateStatus.PASSED if within else GateStatus.INCONCLUSIVE)


def _judge_noisy(
    case: str, by_device: dict[str, list[float]], budget: Budget, evidence: Evidence
) -> tuple[GateStatus, list[Finding]]:
    limit = budget.limit_us
    assert limit is not None
    everything = [us for samples in by_device.values() for us in samples]
    answer = compare_noisy(by_device, limit, evidence.looks)
    if answer.status is GateStatus.INCONCLUSIVE:
        return answer.status, [Finding(message=_undecided(everything, limit, evidence.looks), case=case)]
    findings = [Finding(message=f"median {median(everything):.2f} µs is over {limit:.2f} µs", case=case)]
    return answer.status, (findings if answer.over else []) + [
        Finding(
            message=f"median {median(by_device[device]):.2f} µs is over {limit:.2f} µs on this device",
            case=case,
            device=device,
        )
        for device in answer.devices_over
    ]


def _over(samples: Sequence[float], limit: float, chance: float) -> bool:
    """Whether so few samples lie at or below `limit` that a median at it gives that with at most `chance`."""
    return binomial_tail(len(samples), sum(us <= limit for us in samples)) <= chance


def _within(samples: Sequence[float], limit: float, chance: float) -> bool:
    """Whether so few samples lie above `limit` that a median at it gives that with at most `chance`."""
    return binomial_tail(len(samples), sum(us > limit for us in samples)) <= chance


def _undecided(samples: list[float], limit: float, looks: int) -> str:
    fewest = math.ceil(math.log2(looks / ERROR))  # all on one side, each with probability ½
    if len(samples) < fewest:
        return f"{len(samples)} samples decide nothing on a noisy clock; at least {fewest} are needed, raise --repeats"
    above = sum(us > limit for us in samples)
    return f"{above} of {len(samples)} samples lie above {limit:.2f} µs, with a median of {median(samples):.2f} µs"
