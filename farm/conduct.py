"""One run from request to verdict: lease, build, measure, judge, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from farm import plan, preflight, resume
from farm.budgets import Budget
from farm.building import Building
from farm.errors import FarmError
from farm.execute import Execution
from farm.gates.budget import BudgetGate, budget_records, medians, undecided_cases
from farm.gates.determinism import DeterminismGate, suspect_devices
from farm.gates.protocol import Evidence, Gate
from farm.gates.tolerance import ToleranceGate
from farm.health import EventKind, HealthEvent, acquittals, events_of
from farm.lease import Lease, card_of
from farm.leased import Leased, RunOptions, leased, new_id, now
from farm.limits import Limits
from farm.plan import Plan, PlannedTrial
from farm.progress import Observer
from farm.progress_file import ProgressFile
from farm.provenance import commit_of
from farm.record import DeviceRecord, GateRecord, RunRecord, RunRequest, Verdict
from farm.report.write import write_reports
from farm.store import RunExistsError
from farm.verdict import decide
from jobs.records import BuildRecord, TrialRecord, TrialStatus

# Enough samples a device for a 95 % interval of its own median, and no more than a gate's patience.
MAX_REPEATS_NOISY = 12
GATES: tuple[Gate, ...] = (ToleranceGate(), DeterminismGate(), BudgetGate())


@dataclass(slots=True)
class _Run:
    """What is known while a run goes on."""

    id: str
    request: RunRequest
    held: Leased
    budgets: dict[str, Budget]
    directory: Path
    started_at: str
    observer: Observer
    limits: Limits
    resumed: RunRecord | None  # an interrupted run of the same request
    execution: Execution = field(init=False)
    plans: list[Plan] = field(default_factory=list)
    builds: list[BuildRecord] = field(default_factory=list)
    trials: list[TrialRecord] = field(default_factory=list)
    looked_again: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """What drives the devices tells this run of every trial."""
        clock = self.held.platform.clock
        self.execution = Execution(self.lease, self.directory, clock, self.limits, self.observer, self.keep)

    @property
    def lease(self) -> Lease:
        """The devices."""
        return self.held.lease

    def keep(self, trials: list[TrialRecord]) -> None:
        """Make `trials` durable, and what they say of their devices."""
        self.trials.extend(trials)  # first: an interrupt from here on still finds them in the record
        self.held.store.save_trials(self.id, trials)
        platform = self.held.platform.name
        self.held.store.observe([event for each in trials for event in events_of(each, self.id, platform, now())])


def run(
    request: RunRequest,
    options: RunOptions | None = None,
    observer: Observer | None = None,
    resumed: RunRecord | None = None,
) -> RunRecord:
    """Validate as `request` says and return the finished record, whose files are in `options.out / run_id`.

    `resumed` is an interrupted run of the same request, checked by `farm.resume.require`, whose finished trials are
    taken over. Raises what `farm.leased.leased` raises; once devices are leased, every end is a record: Ctrl-C gives
    `errored: interrupted` with what was measured until then.
    """
    options = options or RunOptions()
    observer = observer or Observer()
    with leased(request, options, observer) as held:
        budgets = options.budgets if options.budgets is not None else preflight.budgets(held.kernel, request)
        going = _begin(request, options, held, budgets, observer, resumed)
        return _conduct(going)


def _begin(
    request: RunRequest,
    options: RunOptions,
    held: Leased,
    budgets: dict[str, Budget],
    observer: Observer,
    resumed: RunRecord | None,
) -> _Run:
    run_id = options.run_id or new_id()
    directory = (options.out / run_id).resolve()
    try:
        (directory / "logs").mkdir(parents=True)
    except FileExistsError:
        raise RunExistsError(run_id) from None
    limits = Limits(options.timeouts, held.lease)
    told = ProgressFile(directory, observer)
    going = _Run(run_id, request, held, budgets, directory, now(), told, limits, resumed)
    held.store.begin(_record(going, None, "running", []))
    return going


def _conduct(going: _Run) -> RunRecord:
    gates: list[GateRecord] = []
    try:
        gates = _measure(going)
        proven = going.execution.blame.kernel
        verdict, reason = decide(going.builds, going.trials, gates, _shortfall(going), proven)
        going.observer.judged(gates)
    except KeyboardInterrupt:
        verdict, reason = Verdict.ERRORED, "interrupted"
    except FarmError as error:
        verdict, reason = Verdict.ERRORED, str(error)
    record = _record(going, verdict, reason, gates)
    store, proven = going.held.store, going.execution.blame.kernel
    store.observe(acquittals(going.trials, proven, going.id, going.held.platform.name, now()))
    store.finish(record)  # first: the verdict must stand even where a full disk takes the files
    write_reports(record, going.directory)
    return record


def _measure(going: _Run) -> list[GateRecord]:
    whole = plan.make(going.request, warm_up=going.held.platform.noisy)
    going.plans.append(whole)
    going.observer.began(going.id, going.lease.held, len(whole.trials))
    going.builds = Building(going.lease, going.held.platform.clock, going.limits, going.observer).build(whole)
    going.held.store.update(_record(going, None, "running", []))
    if any(build.failure for build in going.builds):
        return []
    going.execution.run(_take_over(going, whole))
    _look_again(going)
    _sample_more(going)
    evidence = _evidence(going)
    return [gate.judge(evidence) for gate in GATES]


def _take_over(going: _Run, whole: Plan) -> Plan:
    """What is left to measure once the finished trials of the resumed run, if there is one, are taken over."""
    if going.resumed is None:
        return whole
    taken = resume.take_over(going.resumed, going.builds, going.directory)
    going.held.store.save_trials(going.id, taken)
    going.trials.extend(taken)
    cards = {device.id: card_of(device) for device in going.resumed.devices}
    for trial in taken:
        going.execution.blame.take(trial, cards[trial.device])
        going.observer.measured(trial, kept=True)
    return resume.remaining(whole, taken, {slot: going.lease.device(slot).id for slot in going.lease.slots})


def _look_again(going: _Run) -> None:
    """Devices that lost a determinism vote repeat their trials: one look is not proof against a device."""
    suspects = suspect_devices(_evidence(going))
    slots = [slot for slot in going.lease.slots if going.lease.device(slot).id in suspects]
    if not slots:
        return
    going.looked_again = suspects
    _run_more(going, slots, going.request.cases, f"second look at {', '.join(sorted(suspects))}")
    confirmed = suspect_devices(_evidence(going)) & suspects
    lost = "lost the determinism vote twice"
    going.held.store.observe(
        [
            HealthEvent(device, going.held.platform.name, now(), EventKind.VOTE_LOST, lost, going.id)
            for device in sorted(confirmed)
        ]
    )


def _sample_more(going: _Run) -> None:
    """While noise decides whether a median is within its budget, take more samples, up to a cap."""
    rounds = MAX_REPEATS_NOISY // going.request.repeats
    while going.held.platform.noisy and len(going.plans) < rounds:
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
        clock=going.held.platform.clock,
        noisy=going.held.platform.noisy,
        trials=tuple(going.trials),
        outputs={
            case: tuple(spec.name for spec in going.held.kernel.output_specs(case)) for case in going.request.cases
        },
        budgets=going.budgets,
        looked_again=going.looked_again,
    )
    return replace(evidence, suspects=suspect_devices(evidence))


def _shortfall(going: _Run) -> str:
    """What was planned and not measured, in one sentence; "" when all was."""
    planned = sum(len([trial for trial in made.trials if trial.repeat >= 0]) for made in going.plans)
    measured = sum(trial.status is TrialStatus.OK for trial in going.trials)
    if measured == planned:
        return ""
    failures = [trial.failure for trial in going.trials if trial.failure]
    lost = [trial.device for trial in going.trials if trial.failure]
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
        platform=going.held.platform.name,
        clock=going.held.platform.clock,
        commit=commit_of(going.held.kernel.sources()[0]),
        started_at=going.started_at,
        finished_at=None if verdict is None else now(),
        request=going.request,
        toolchain=going.held.platform.toolchain(),
        devices=_devices(going),
        builds=going.builds,
        trials=going.trials,
        gates=gates,
        median_us=medians(evidence),
        budget=budget_records(evidence),
        failures=going.execution.problems,
        queue_s=going.lease.queue_s,
        run_limit_s=going.limits.timeouts.run_s,
        resumed_from=going.resumed.run_id if going.resumed else "",
        directory=str(going.directory),
    )


def _devices(going: _Run) -> list[DeviceRecord]:
    """Every device that has a trial in this run or was held by it."""
    before = going.resumed.devices if going.resumed else []
    held = {device.id: device for device in (*before, *going.lease.held)}
    return list(held.values())
