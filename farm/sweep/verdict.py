"""What a sweep says in the end: the only place that weighs its findings against what it did not reach. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from farm.analysis.sweep_findings import sentence, shown
from farm.analysis.sweep_matrix import Fleet
from farm.model.run import Verdict
from farm.model.sweep import Cell, NotReached, SweepFinding, SweepRequest
from farm.sweep.schedule import first_look, job_of
from farm.text import counted


def not_reached(
    request: SweepRequest, cells: Iterable[Cell], reasons: Mapping[str, str], doomed: Collection[str] = ()
) -> list[NotReached]:
    """The devices with trials of the first look that were not made. A trial that failed was made.

    `reasons` has every planned device and why it would be one of them. Cases that fail everywhere are not missed, and
    of a device beside the plan nothing is.
    """
    jobs = {job for job in first_look(request) if job.case not in doomed}
    left = {device: set(jobs) for device in reasons}
    for cell in cells:
        left.get(cell.device, set()).discard(job_of(cell))
    return [
        NotReached(device=device, missing=len(missing), planned=len(jobs), why=reasons[device])
        for device, missing in left.items()
        if missing
    ]


def decide(
    request: SweepRequest,
    cells: Sequence[Cell],
    findings: Sequence[SweepFinding],
    missing: Sequence[NotReached],
    fleet: Fleet,
) -> tuple[Verdict, str]:
    """The verdict and its reason in one sentence.

    The kernel's faults come first, then those of devices and the farm. Without any, a sweep has passed where it has
    compared every planned device, case and seed at least once. Everything else that it did not reach is only reported.
    """
    for verdict in (Verdict.FAILED, Verdict.ERRORED):
        of_verdict = [finding for finding in findings if finding.kind.verdict is verdict]
        if of_verdict:
            more = f"; {counted(len(findings) - 1, 'more finding')}" if len(findings) > 1 else ""
            return verdict, f"{sentence(of_verdict[0])}{more}"
    measured = [cell for cell in cells if cell.failure is None and cell.repeat >= 0]
    devices = {cell.device for cell in measured}
    if len(devices) < 2:
        return Verdict.ERRORED, f"{counted(len(devices), 'device')} measured: nothing to compare"
    unseen = [each for each in missing if each.missing == each.planned]
    if unseen:
        return Verdict.ERRORED, f"not reached: {shown([each.device for each in unseen])} ({unseen[0].why})"
    compared = {(cell.case, cell.seed) for cell in measured}
    skipped = [
        f"{case} seed {seed}" for case in request.cases for seed in request.seeds if (case, seed) not in compared
    ]
    if skipped:
        return Verdict.ERRORED, f"not reached on any device: {shown(skipped)}"
    cards = len({fleet.card(device) for device in devices})
    extent = f"{counted(len(measured), 'trial')} on {counted(len(devices), 'device')} ({counted(cards, 'card')})"
    left = sum(each.missing for each in missing)
    short = f"; not reached: {left} of {left + len(measured)} trials" if left else ""
    return Verdict.PASSED, f"{extent} agree bit for bit{short}"
