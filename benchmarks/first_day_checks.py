"""The questions of the first day on a device: each has an answer in one line, and what to look at where it is no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from farm import paths
from farm.doctor import Diagnosis, Status
from farm.model.budgets import BudgetError, load_budget
from jobs import probe
from jobs.records import TrialRecord
from kernel.platforms.protocol import Platform
from kernel.spec import Kernel

SPREAD = 1.1  # of the slowest trial over the fastest: above it, budgets need more repeats


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, what was found, and where to look where that is not as it should be."""

    question: str
    ok: bool
    found: str
    look: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def questions(
    kernel: Kernel,
    platform: Platform,
    case: str,
    device: int,
    diagnosis: Diagnosis,
    trials: Sequence[TrialRecord],
    directory: Path,
) -> Iterator[Answer]:
    """Ask of the machine, the device and the trials of the best known tuning, from the cheapest question on."""
    yield _machine(diagnosis)
    record = probe.probe(device, platform, directory / "probe", paths.cache())
    yield Answer(
        "does the device answer the canary",
        record.healthy,
        f"{record.detail} ({record.probe_s:.1f} s)",
        "probe/platform.log; kernel/platforms/canary.py, and npu_smi.py beside what npu-smi really printed",
    )
    yield _ran(trials)
    measured = [trial for trial in trials if trial.failure is None]
    if measured:
        yield _numbers(measured)
        yield _bits(measured)
        yield _program(measured)
        yield _profile(measured)
        yield _times(measured)
        yield _ceiling(kernel, platform, case, measured)


def _machine(diagnosis: Diagnosis) -> Answer:
    problems = [check for check in diagnosis.checks if check.status is Status.PROBLEM]
    detail = "; ".join(f"{check.name}: {check.detail}" for check in problems) or "farm doctor finds no problem"
    return Answer("is the machine ready", not problems, detail, "each remedy of `farm doctor --platform a2a3`")


def _ran(trials: Sequence[TrialRecord]) -> Answer:
    failed = [trial.failure for trial in trials if trial.failure is not None]
    found = f"{failed[0].kind}: {failed[0].message}" if failed else f"{len(trials)} trials ran"
    return Answer(
        "does the kernel compile and run",
        not failed,
        found,
        "trials/best-0/platform.log; kernel/platforms/a2a3.py: the launch, the device index, NZ packing of the weights",
    )


def _numbers(trials: Sequence[TrialRecord]) -> Answer:
    shares = {
        name: max(trial.outputs[name].tolerance.outlier_share for trial in trials if trial.outputs[name].tolerance)
        for name, output in trials[0].outputs.items()
        if output.tolerance
    }
    wrong = sorted(
        {name for trial in trials for name, out in trial.outputs.items() if out.tolerance and not out.tolerance.passed}
    )
    found = ", ".join(f"{name} {share:.3%} outliers" for name, share in shares.items())
    return Answer(
        "are the numbers within tolerance",
        not wrong and bool(shares),
        f"{found}{'; wrong: ' + ', '.join(wrong) if wrong else ''}",
        "the first output that is wrong in the order qr_scale, qr, kv, q; all wrong: the layout of the operands (NZ)",
    )


def _bits(trials: Sequence[TrialRecord]) -> Answer:
    digests = {name: {trial.digest(name) for trial in trials} for name in trials[0].outputs}
    differ = [name for name, found in digests.items() if len(found) > 1]
    return Answer(
        "are the bits the same in each repeat",
        not differ,
        f"{', '.join(differ)} differ" if differ else f"{len(trials)} trials, one result",
        "the order of sums that meet in L0C or in global memory (split_k, kv_split_k)",
    )


def _program(trials: Sequence[TrialRecord]) -> Answer:
    prints = {trial.fingerprint for trial in trials}
    return Answer(
        "is it the same program each time",
        len(prints) == 1 and "" not in prints,
        f"{len(prints)} programs",
        "kernel/platforms/fingerprint.py: what of the compiler's output changes from process to process",
    )


def _profile(trials: Sequence[TrialRecord]) -> Answer:
    tasks = trials[0].tasks
    stages = sorted({task.stage for task in tasks if task.stage})
    unnamed = sum(not task.stage for task in tasks)
    return Answer(
        "has the timeline every stage",
        bool(stages) and not unnamed,
        f"{len(tasks)} tasks, {unnamed} without a stage, of {', '.join(stages) or 'no stage'}",
        "kernel/platforms/swimlane.py read_trace: names of lanes and events in the runtime's merged_swimlane.json",
    )


def _times(trials: Sequence[TrialRecord]) -> Answer:
    us = [trial.wall_us for trial in trials if trial.wall_us is not None]
    steady = len(us) == len(trials) and max(us) <= SPREAD * min(us)
    return Answer(
        "are the times steady",
        steady,
        f"{', '.join(f'{each:.2f}' for each in us)} {trials[0].clock.value} µs" if us else "no times",
        "the first one slower: a warm-up is missing; all scattered: other work on the card, or its clock (npu-smi)",
    )


def _ceiling(kernel: Kernel, platform: Platform, case: str, trials: Sequence[TrialRecord]) -> Answer:
    question, look = "is the published ceiling kept", "the stages that take longest, beside those of a2a3sim"
    try:
        budget = load_budget(kernel.budgets(), platform.name, case)
    except BudgetError as error:
        return Answer(question, False, str(error), look)
    if budget is None or budget.ceiling_us is None:
        return Answer(question, True, f"none is published for {case} on {platform.name}", look)
    us = [trial.wall_us for trial in trials if trial.wall_us is not None]
    kept = bool(us) and min(us) <= budget.ceiling_us
    return Answer(question, kept, f"{min(us, default=0):.2f} of {budget.ceiling_us:.2f} µs", look)
