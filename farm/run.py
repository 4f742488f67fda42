"""One run from request to verdict: lease, build, measure, judge, report."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm import paths, plan, preflight
from farm.budgets import Budget
from farm.errors import FarmError
from farm.execute import Execution
from farm.gates.budget import BudgetGate, budget_records, medians, undecided_cases
from farm.gates.determinism import DeterminismGate, suspect_devices
from farm.gates.protocol import Evidence, Gate
from farm.gates.tolerance import ToleranceGate
from farm.lease import Lease
from farm.leased import Leased, RunOptions, leased, new_id, now
from farm.plan import Plan, PlannedTrial
from farm.progress import Observer
from farm.provenance import commit_of
from farm.record import GateRecord, RunRecord, RunRequest, Verdict
from farm.report.write import write_reports
from farm.store import Store
from farm.verdict import decide
from jobs.records import BuildRecord, TrialStatus
from kernel.platforms.protocol import Platform
from kernel.spec import Kernel

# Enough samples a device for a 95 % interval of its own median, and no more than a gate's patience.
MAX_REPEATS_NOISY = 12
GATES: tuple[Gate, ...] = (ToleranceGate(), DeterminismGate(), BudgetGate())


@dataclass(slots=True)
class _Run:
    """What is known while a run goes on."""

    id: str
    request: RunRequest
    kernel: Kernel
    platform: Platform
    budgets: dict[str, Budget]
    directory: Path
    started_at: str
    lease: Lease
    observer: Observer
    execution: Execution
    plans: list[Plan] = field(default_factory=list)
    builds: list[BuildRecord] = field(default_factory=list)
    looked_again: frozenset[str] = frozenset()


def run(request: RunRequest, options: RunOptions | None = None, observer: Observer | None = None) -> RunRecord:
    """Validate as `request` says and return the finished record, whose files are in `options.out / run_id`.

    Raises what `farm.leased.leased` raises; once devices are leased, every end is a record: Ctrl-C gives
    `errored: interrupted` with what was measured until then.
    """
    options = options or RunOptions()
    with leased(request, options) as held, Store.open(paths.store_url()) as store:
        budgets = options.budgets if options.budgets is not None else preflight.budgets(held.kernel, request)
        going = _begin(request, options, held, budgets, store, observer or Observer())
        return _conduct(going, store)


def _begin(
    request: RunRequest,
    options: RunOptions,
    held: Leased,
    budgets: dict[str, Budget],
    store: Store,
    observer: Observer,
) -> _Run:
    run_id = new_id()
    directory = (options.out / run_id).resolve()
    (directory / "logs").mkdir(parents=True)
    execution = Execution(
        lease=held.lease,
        directory=directory,
        clock=held.platform.clock,
        trial_timeout_s=options.trial_timeout_s,
        observer=observer,
        keep=functools.partial(store.save_trial, run_id),
    )
    going = _Run(
        run_id,
        request,
        held.kernel,
        held.platform,
        budgets,
        directory,
        now(),
        held.lease,
        observer,
        execution,
    )
    store.begin(_record(going, None, "running", []))
    return going


def _conduct(going: _Run, store: Store) -> RunRecord:
    gates: list[GateRecord] = []
    try:
        gates = _measure(going)
        verdict, reason = decide(going.builds, going.execution.trials, gates, _shortfall(going))
        going.observer.judged(gates)
    except KeyboardInterrupt:
        verdict, reason = Verdict.ERRORED, "interrupted"
    except FarmError as error:
        verdict, reason = Verdict.ERRORED, str(error)
    record = _record(going, verdict, reason, gates)
    store.finish(record)  # first: the verdict must stand even where a full disk takes the files
    write_reports(record, going.directory)
    return record


def _measure(going: _Run) -> list[GateRecord]:
    first = plan.make(going.request, warm_up=going.platform.noisy)
    going.plans.append(first)
    going.observer.began(going.id, going.lease.held, len(first.trials))
    going.builds = going.execution.build(first)
    if any(build.failure for build in going.builds):
        return []
    going.execution.run(first)
    _look_again(going)
    _sample_more(going)
    evidence = _evidence(going)
    return [gate.judge(evidence) for gate in GATES]


def _look_again(going: _Run) -> None:
    """Devices that lost a determinism vote repeat their trials: one look is not proof against a device."""
    suspects = suspect_devices(_evidence(going))
    slots = [slot for slot in going.lease.slots if going.lease.device(slot).id in suspects]
    if slots:
        going.looked_again = suspects
        _run_more(going, slots, going.request.cases, f"second look at {', '.join(sorted(suspects))}")


def _sample_more(going: _Run) -> None:
    """While noise decides whether a median is within its budget, take more samples, up to a cap."""
    rounds = MAX_REPEATS_NOISY // going.request.repeats
    while going.platform.noisy and len(going.plans) < rounds:
        cases = undecided_cases(_evidence(going))
        if not cases:
            return
        _run_more(going, going.lease.slots, cases, "the median's interval straddles the budget")


def _run_more(going: _Run, slots: list[int], cases: list[str], why: str) -> None:
    """One more round of repeats, numbered on from the rounds before."""
    done = len(going.plans) * going.request.repeats
    repeats = range(done, done + going.request.repeats)
    trials = tuple(PlannedTrial(case, slot, repeat) for slot in slots for case in cases for repeat in repeats)
    extra = Plan(going.plans[0].requests, trials)
    going.plans.append(extra)
    going.observer.extended(len(trials), why)
    going.execution.run(extra)


def _evidence(going: _Run) -> Evidence:
    evidence = Evidence(
        cases=tuple(going.request.cases),
        clock=going.platform.clock,
        noisy=going.platform.noisy,
        trials=tuple(going.execution.trials),
        outputs={case: tuple(spec.name for spec in going.kernel.output_specs(case)) for case in going.request.cases},
        budgets=going.budgets,
        looked_again=going.looked_again,
    )
    return replace(evidence, suspects=suspect_devices(evidence))


def _shortfall(going: _Run) -> str:
    """What was planned and not measured, in one sentence; "" when all was."""
    planned = sum(len([trial for trial in made.trials if trial.repeat >= 0]) for made in going.plans)
    measured = sum(trial.status is TrialStatus.OK for trial in going.execution.trials)
    if measured == planned:
        return ""
    failures = [trial.failure for trial in going.execution.trials if trial.failure]
    lost = [trial.device for trial in going.execution.trials if trial.failure]
    why = f"device {lost[-1]}: {failures[-1].message}" if failures else "no failure was reported"
    return f"{planned - measured} of {planned} trials were not measured; {why}"


def _record(going: _Run, verdict: Verdict | None, reason: str, gates: list[GateRecord]) -> RunRecord:
    evidence = _evidence(going)
    return RunRecord(
        run_id=going.id,
        verdict=verdict,
        reason=reason,
        kernel=going.request.kernel,
        cases=going.request.cases,
        platform=going.platform.name,
        clock=going.platform.clock,
        commit=commit_of(going.kernel.sources()[0]),
        started_at=going.started_at,
        finished_at=None if verdict is None else now(),
        request=going.request,
        toolchain=going.platform.toolchain(),
        devices=going.lease.held,
        builds=going.builds,
        trials=going.execution.trials,
        gates=gates,
        median_us=medians(evidence),
        budget=budget_records(evidence),
        failures=going.execution.problems,
        directory=str(going.directory),
    )
