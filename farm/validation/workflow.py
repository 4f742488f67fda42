"""One run from request to verdict: lease, build, measure, judge, report."""

from __future__ import annotations

from collections.abc import Sequence

from farm.errors import FarmError
from farm.execution import plan, preflight
from farm.execution.builder import Building
from farm.execution.deadlines import RunDeadlines
from farm.execution.observer import Observer
from farm.execution.plan import Plan, Sourced, rounds
from farm.execution.progress_file import ProgressFile
from farm.execution.session import Session, SessionOptions, leased
from farm.gates.budget import undecided_cases
from farm.gates.determinism import suspect_devices
from farm.gates.verdict import decide
from farm.leasing.lease import card_of
from farm.model.device_health import EventKind, HealthEvent, acquittals
from farm.model.run import GateRecord, RunRecord, RunRequest, Verdict
from farm.report.write import write_reports
from farm.source import programs
from farm.source.programs import Programs
from farm.store.run_store import RunExistsError
from farm.timestamps import new_id, now
from farm.validation import resume
from farm.validation.state import RunState
from jobs.records import Arm

# Enough samples a device for a 95 % interval of its own median, and no more than a gate's patience.
MAX_REPEATS_NOISY = 12


def run(
    request: RunRequest,
    options: SessionOptions | None = None,
    observer: Observer | None = None,
    resumed: RunRecord | None = None,
) -> RunRecord:
    """Validate as `request` says and return the finished record, whose files are in `options.out / run_id`.

    `resumed` is an interrupted run of the same request, checked by `farm.validation.resume.require`, whose finished
    trials are taken over. Raises what `farm.execution.session.leased` raises; once devices are leased, every end is a
    record: Ctrl-C gives `errored: interrupted` with what was measured until then.
    """
    options = options or SessionOptions()
    observer = observer or Observer()
    found, confinement = None, None
    if request.source is not None:
        preflight.check(request)
        found = programs.read(request.kernel, request.source)
        confinement = found.confinement(request.kernel, request.source, options.timeouts.trial_s)
        if request.source.require_sandbox and options.address is None:
            programs.require_sandbox_here()
    with leased(request, options, observer, confinement=confinement) as held:
        going = _begin(request, options, held, observer, resumed, found)
        return _conduct(going)


def _begin(
    request: RunRequest,
    options: SessionOptions,
    held: Session,
    observer: Observer,
    resumed: RunRecord | None,
    found: Programs | None,
) -> RunState:
    budgets = options.budgets if options.budgets is not None else preflight.budgets(held.kernel, request)
    run_id = options.run_id or new_id()
    directory = (options.out / run_id).resolve()
    try:
        (directory / "logs").mkdir(parents=True)
    except FileExistsError:
        raise RunExistsError(run_id) from None
    limits = RunDeadlines(options.timeouts, held.lease)
    told = ProgressFile(directory, observer)
    going = RunState(run_id, request, held, budgets, directory, now(), told, limits, resumed, found)
    held.store.begin(going.record(None, "running", []))
    return going


def _conduct(going: RunState) -> RunRecord:
    gates: list[GateRecord] = []
    try:
        gates = _measure(going)
        proven = going.execution.blame.kernel
        verdict, reason = decide(going.builds, going.trials, gates, going.shortfall(), proven)
        going.observer.judged(gates)
    except KeyboardInterrupt:
        verdict, reason = Verdict.ERRORED, "interrupted"
    except FarmError as error:
        verdict, reason = Verdict.ERRORED, str(error)
    record = going.record(verdict, reason, gates)
    store, proven = going.held.store, going.execution.blame.kernel
    store.observe(acquittals(going.trials, proven, going.id, going.held.platform.name, now()))
    store.finish(record)  # first: the verdict must stand even where a full disk takes the files
    write_reports(record, going.directory)
    return record


def _measure(going: RunState) -> list[GateRecord]:
    _build(going)
    if any(build.failure for build in going.builds):
        return []
    going.execution.run(_take_over(going, going.plans[0]))
    _look_again(going)
    _sample_more(going)
    evidence = going.evidence()
    return [gate.judge(evidence) for gate in going.gates()]


def _build(going: RunState) -> None:
    """Build every program, then draw what its inputs are drawn from, and so have the plan of the run."""
    unseeded = _plan(going)
    going.observer.began(going.id, going.lease.held, len(unseeded.trials))
    heads = {name: each for name, each in unseeded.requests.items() if each.arm is not Arm.CONTROL}
    built = Building(going.lease, going.held.platform.clock, going.limits, going.observer).build(Plan(heads, ()))
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
    return plan.make(going.request, warm_up=going.held.platform.noisy, sourced=sourced)


def _take_over(going: RunState, whole: Plan) -> Plan:
    """What is left to measure once the finished trials of the resumed run, if there is one, are taken over."""
    if going.resumed is None:
        return whole
    taken = going.taken
    resume.copy_logs(going.resumed, taken, going.directory)
    going.held.store.save_trials(going.id, list(taken.head))
    going.trials.extend(taken.head)
    going.base_trials.extend(taken.base)
    cards = {device.id: card_of(device) for device in going.resumed.devices}
    for trial in taken.head:
        going.execution.blame.take(trial, cards[trial.device])
    for trial in (*taken.head, *taken.base):
        going.observer.measured(trial, kept=True)
    return resume.remaining(whole, taken.head, {slot: going.lease.device(slot).id for slot in going.lease.slots})


def _look_again(going: RunState) -> None:
    """Devices that lost a determinism vote repeat their trials: one look is not proof against a device."""
    suspects = suspect_devices(going.evidence())
    slots = [slot for slot in going.lease.slots if going.lease.device(slot).id in suspects]
    if not slots:
        return
    going.looked_again = suspects
    _run_more(going, slots, going.request.cases, f"second look at {', '.join(sorted(suspects))}")
    confirmed = suspect_devices(going.evidence()) & suspects
    lost = "lost the determinism vote twice"
    going.held.store.observe(
        [
            HealthEvent(device, going.held.platform.name, now(), EventKind.VOTE_LOST, lost, going.id)
            for device in sorted(confirmed)
        ]
    )


def _sample_more(going: RunState) -> None:
    """While noise decides whether a median is within its budget, take more samples, up to a cap."""
    rounds = MAX_REPEATS_NOISY // going.request.repeats
    while going.held.platform.noisy and len(going.plans) < rounds:
        evidence, regression = going.evidence(), going.regression()
        budget = undecided_cases(evidence)
        against = regression.undecided_cases(evidence) if regression is not None else []
        if not budget and not against:
            return
        why = "the median's interval straddles the budget" if budget else "noise hides how head and merge base compare"
        _run_more(going, going.lease.slots, [case for case in evidence.cases if case in {*budget, *against}], why)


def _run_more(going: RunState, slots: Sequence[int], cases: list[str], why: str) -> None:
    """One more round of repeats, numbered on from the rounds before."""
    done = len(going.plans) * going.request.repeats
    repeats = range(done, done + going.request.repeats)
    first = going.plans[0]
    planned = {(trial.case, trial.arm) for trial in first.trials}
    trials = tuple(trial for trial in rounds(first.arms(), slots, cases, repeats) if (trial.case, trial.arm) in planned)
    extra = Plan(first.requests, trials)
    going.plans.append(extra)
    going.observer.extended(len(trials), why)
    going.execution.run(extra)
