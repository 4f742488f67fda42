"""One run from request to verdict: lease, build, measure, judge, report."""

from __future__ import annotations

import functools
from dataclasses import replace

from farm.execution import plan, preflight, resolved_run
from farm.execution.builder import Building
from farm.execution.deadlines import RunDeadlines
from farm.execution.observer import Observer
from farm.execution.plan import Plan, Sourced
from farm.execution.progress_file import ProgressFile
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import Session, SessionOptions, leased
from farm.gates.budget import medians, undecided_cases
from farm.gates.verdict import decide
from farm.leasing.device_lease import card_of
from farm.model.run import GateRecord, RunRecord, RunRequest, Verdict
from farm.source import programs
from farm.timestamps import now
from farm.validation import past_times, resume, second_look
from farm.validation.conduct import Judgement, conduct, make_directory
from farm.validation.state import RunState
from jobs.packed_tasks import packed
from jobs.records import Arm
from kernel.spec import Kernel


def resolve(request: RunRequest, options: SessionOptions, kernel: Kernel | None = None) -> ResolvedRun:
    """Return what is to be run: kernel, platform, budgets, and the programs of the request's commits.

    `kernel` is the request's kernel, where the caller has it already. Raises what `resolved_run.resolve` raises,
    `BudgetError` for the budget file, and `SourceError` for the commits. Nothing has been started.
    """
    found = resolved_run.resolve(request, kernel, options.platform)
    budgets = preflight.budgets(found.kernel, request) if options.budgets is None else options.budgets
    if request.source is None:
        return replace(found, budgets=budgets)
    of_commits = programs.read(request.kernel, request.source)
    if request.source.require_sandbox and options.address is None:
        programs.require_sandbox_here()
    confinement = of_commits.confinement(request.kernel, request.source, options.timeouts.trial_s)
    return replace(found, budgets=budgets, programs=of_commits, confinement=confinement)


def run(
    resolved: ResolvedRun,
    options: SessionOptions | None = None,
    observer: Observer | None = None,
    resumed: RunRecord | None = None,
) -> RunRecord:
    """Validate what `resolve` returned and return the finished record, whose files are in `options.out / run_id`.

    `resumed` is an interrupted run of the same request, checked by `farm.validation.resume.require`, whose finished
    trials are taken over. Raises what `farm.execution.session.leased` raises; once devices are leased, every end is a
    record: Ctrl-C gives `errored: interrupted` with what was measured until then.
    """
    options = options or SessionOptions()
    observer = observer or Observer()
    with leased(resolved, options, observer) as held:
        going = _begin(held, options, observer, resumed)
        return conduct(going, functools.partial(_measure, going), functools.partial(_judge, going))


def _begin(held: Session, options: SessionOptions, observer: Observer, resumed: RunRecord | None) -> RunState:
    run_id, directory = make_directory(options)
    limits = RunDeadlines(options.timeouts, held.lease)
    return RunState(run_id, held, directory, now(), ProgressFile(directory, observer), limits, resumed)


def _judge(going: RunState, stopped: str) -> Judgement:
    if stopped:
        return Verdict.ERRORED, stopped, []
    gates: list[GateRecord] = []
    if not any(build.failure for build in going.builds):
        evidence = going.evidence()
        past_times.recall(going, medians(evidence))
        gates = [gate.judge(evidence) for gate in going.gates()]
    verdict, reason = decide(going.builds, going.trials, gates, going.shortfall(), going.execution.blame.kernel)
    return verdict, reason, gates


def _measure(going: RunState) -> None:
    _build(going)
    if any(build.failure for build in going.builds):
        return
    going.execution.run(_take_over(going, going.plans[0]))
    second_look.look_again(going)
    _sample_more(going)


def _build(going: RunState) -> None:
    """Build every program, then draw what its inputs are drawn from, and so have the plan of the run."""
    unseeded = _plan(going)
    going.observer.began(going.id, going.lease.held, len(unseeded.trials))
    heads = {name: each for name, each in unseeded.requests.items() if each.arm is not Arm.CONTROL}
    building = Building(going.lease, going.platform.clock, going.limits, going.observer, going.directory)
    built = building.build(Plan(heads, ()))
    for request, build in zip(heads.values(), built, strict=True):
        (going.builds if request.arm is Arm.HEAD else going.base_builds).append(build)
    if going.resumed is not None:
        ids = [going.lease.device(slot).id for slot in going.lease.slots]
        going.taken = resume.finished(going.resumed, going.builds, going.base_builds, ids)
    going.request = programs.drawn(going.request, keep=bool(going.taken.head))
    whole = _plan(going)
    unbuilt = {build.case for build in going.base_builds if build.failure is not None}
    kept = tuple(trial for trial in whole.trials if trial.arm is not Arm.BASE or trial.case not in unbuilt)
    going.plans.append(Plan(whole.requests, kept))
    going.held.store.update(going.record(None, "running", []))


def _plan(going: RunState) -> Plan:
    sourced = None
    if going.programs is not None:
        base = going.programs.base.address if going.programs.base else ""
        sourced = Sourced(going.programs.head.address, base, programs.seed())
    return plan.make(going.request, warm_up=going.platform.noisy, sourced=sourced)


def _take_over(going: RunState, whole: Plan) -> Plan:
    """What is left to measure once the finished trials of the resumed run, if there is one, are taken over."""
    if going.resumed is None:
        return whole
    taken = going.taken
    resume.copy_logs(going.resumed, taken, going.directory)
    going.held.store.save_trials(going.id, list(taken.head))
    going.trials.extend(map(packed, taken.head))
    going.base_trials.extend(taken.base)
    cards = {device.id: card_of(device) for device in going.resumed.devices}
    for trial in taken.head:
        going.execution.blame.take(trial, cards[trial.device])
    for trial in (*taken.head, *taken.base):
        going.observer.measured(trial, kept=True)
    return resume.remaining(whole, taken.head, {slot: going.lease.device(slot).id for slot in going.lease.slots})


def _sample_more(going: RunState) -> None:
    """While noise decides whether a median is within its budget, take more samples, up to a cap."""
    while len(going.plans) < going.looks:
        evidence, regression = going.evidence(), going.regression()
        budget = undecided_cases(evidence)
        against = regression.undecided_cases(evidence) if regression is not None else []
        if not budget and not against:
            return
        why = "the median's interval straddles the budget" if budget else "noise hides how head and merge base compare"
        undecided = [case for case in evidence.cases if case in {*budget, *against}]
        second_look.run_more(going, going.lease.slots, undecided, why)
