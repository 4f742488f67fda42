"""The median wall time is within the case's budget, and what "within" means where time is noisy.

On a simulated clock a median is exact, so it is compared as it is, with the ceiling and with the ratchet. On a noisy
clock a median is an estimate: its 95 % interval must lie below the ceiling to pass and above it to fail. An interval
that straddles the ceiling asks for more samples, and is `inconclusive` once the cap is reached.
"""

from __future__ import annotations

from collections import defaultdict

from farm.gates.protocol import Evidence, judge_cases
from farm.model.budgets import Budget
from farm.model.run import BudgetRecord, Finding, GateRecord, GateStatus, MedianRecord
from farm.stats.robust import median, median_absolute_deviation, median_interval
from farm.stats.thresholds import RESOLUTION_US
from kernel.clock import WallTime, wall_time


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
    for trial in evidence.trusted(case):
        if trial.wall_us is not None and trial.clock is evidence.clock:
            by_device[trial.device].append(trial.wall_us)
    return dict(by_device)


def _judge_case(case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
    by_device = _samples(case, evidence)
    if not by_device:
        return GateStatus.ERRORED, [Finding(message="no wall time was measured", case=case)]
    budget = evidence.budgets.get(case)
    if budget is None or budget.limit_us is None:
        return GateStatus.NOT_APPLICABLE, [Finding(message="the budget file has no entry for this case", case=case)]
    if evidence.noisy:
        return _judge_noisy(case, by_device, budget)
    return _judge_exact(case, by_device, budget, evidence)


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


def _judge_noisy(case: str, by_device: dict[str, list[float]], budget: Budget) -> tuple[GateStatus, list[Finding]]:
    limit = budget.limit_us
    assert limit is not None
    findings = [
        Finding(
            message=f"median {median(samples):.2f} µs is over {limit:.2f} µs on this device", case=case, device=device
        )
        for device, samples in sorted(by_device.items())
        if _compare(samples, limit) is GateStatus.FAILED
    ]
    everything = [us for samples in by_device.values() for us in samples]
    overall = _compare(everything, limit)
    if overall is GateStatus.FAILED:
        findings.insert(0, Finding(message=f"median {median(everything):.2f} µs is over {limit:.2f} µs", case=case))
    if overall is GateStatus.FAILED or findings:
        return GateStatus.FAILED, findings
    if overall is GateStatus.INCONCLUSIVE:
        low, high = median_interval(everything) or (min(everything), max(everything))
        message = f"{len(everything)} samples put the median between {low:.2f} and {high:.2f} µs, around {limit:.2f} µs"
        return GateStatus.INCONCLUSIVE, [Finding(message=message, case=case)]
    return GateStatus.PASSED, []


def _compare(samples: list[float], limit: float) -> GateStatus:
    """Passed or failed where the interval (the range, for too few samples) lies on one side of `limit`."""
    low, high = median_interval(samples) or (min(samples), max(samples))
    if high <= limit:
        return GateStatus.PASSED
    return GateStatus.FAILED if low > limit else GateStatus.INCONCLUSIVE
