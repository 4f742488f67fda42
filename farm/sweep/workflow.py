"""Conducts a sweep from its beginning, or from where an earlier process left it, to its record and reports."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm import paths
from farm.cluster import connection
from farm.errors import FarmError, UsageError
from farm.execution import preflight
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrials
from farm.execution.resolved_run import ResolvedRun
from farm.leasing.device_lease import PlatformFactory
from farm.leasing.queue_client import QueueClient
from farm.model import lost_vote
from farm.model.device_health import HealthEvent, acquittals, events_of
from farm.model.priority import Priority
from farm.model.program_time import ProgramTime
from farm.model.run import Verdict
from farm.model.sweep import Cell, Kind, SweepFinding, SweepPlan, SweepRecord, SweepRequest
from farm.model.timeouts import Timeouts
from farm.process import crash_log
from farm.report.sweep.write import write_sweep
from farm.source.kernel_identity import recorded_name
from farm.store.engine import StoreError
from farm.store.program_times import program_times
from farm.store.run_store import Store
from farm.sweep import preparation
from farm.sweep.attribution import card_or_dependence, unsteady_devices
from farm.sweep.devices import SweepDevices
from farm.sweep.executor import SweepExecutor
from farm.sweep.journal import Journal
from farm.sweep.observer import SweepObserver
from farm.sweep.state import State
from farm.sweep.timing_outliers import contradictory_times, medians, odd_times
from farm.sweep.verdict import decide, not_reached
from farm.timestamps import now
from jobs.records import TrialRecord, TrialStatus
from kernel.errors import KernelLayerError

WAIT_S = 5.0  # between two attempts to get devices that others hold


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """How a sweep is made, as opposed to what."""

    out: Path = Path("farm-sweeps")
    address: str | None = None  # of a Ray cluster; None starts a local one
    budget_minutes: float = 240.0
    timeouts: Timeouts = field(default_factory=Timeouts)
    platform: PlatformFactory | None = None  # in place of the registered platform of that name


@dataclass(slots=True)
class _Sweep:
    """What is known while a sweep goes on."""

    state: State
    bench: SweepDevices
    store: Store
    options: SweepOptions
    observer: SweepObserver
    resumed: bool
    lost: list[TrialRecord] = field(default_factory=list)  # attempts of this process that ended in a fault

    @property
    def plan(self) -> SweepPlan:
        """What is being done."""
        return self.state.plan

    def saw(self, trials: list[TrialRecord]) -> None:
        """Every attempt says something about its device."""
        asked, id_ = self.plan.request, self.plan.sweep_id
        whose = {"claimed": bool(asked.suite), "simulated": bool(asked.suite) and not self.bench.real}
        told = [event for each in trials for event in events_of(each, id_, asked.platform, now(), **whose)]
        self.store.observe(told)
        self.lost += [each for each in trials if each.status is TrialStatus.ERRORED]


def sweep(
    request: SweepRequest, options: SweepOptions | None = None, observer: SweepObserver | None = None
) -> SweepRecord:
    """Sweep as `request` says and return the finished record, whose files are in `options.out / sweep_id`.

    Raises what is wrong with the request before anything is started, `InfrastructureError` where no cluster answers.
    Once it is planned every end is a record: Ctrl-C gives `errored: interrupted` with what was measured until then.
    """
    options = options or SweepOptions()
    deadline = _deadline(options)
    resolved = preparation.resolved(request, options.platform, options.timeouts)
    preflight.require_writable(options.out)
    with _connected(resolved, options) as (bench, store):
        plan = preparation.plan(request, resolved.kernel, resolved.platform, bench)
        journal = Journal((options.out / plan.sweep_id).resolve())
        with journal.exclusively():
            journal.begin(plan)
            state = State.load(plan, journal, deadline)
            return _conduct(_Sweep(state, bench, store, options, observer or SweepObserver(), resumed=False))


def resume(directory: Path, options: SweepOptions | None = None, observer: SweepObserver | None = None) -> SweepRecord:
    """Go on with the sweep in `directory`: only what is missing is measured, with a fresh budget of minutes.

    Raises `UsageError` where the kernel, its tuning, the platform or the toolchain is not what it was.
    """
    options = options or SweepOptions()
    deadline = _deadline(options)
    journal = Journal(directory.resolve())
    plan = journal.plan()
    resolved = preparation.resolved(plan.request, options.platform, options.timeouts)
    preparation.require_same(plan, resolved.kernel, resolved.platform)
    with _connected(resolved, options) as (bench, store), journal.exclusively():
        state = State.load(plan, journal, deadline)
        return _conduct(_Sweep(state, bench, store, options, observer or SweepObserver(), resumed=True))


def _deadline(options: SweepOptions) -> float:
    """When the budget ends, in the time of time.monotonic(). Raises `UsageError` for a budget that is none."""
    if not 0 < options.budget_minutes < math.inf:
        raise UsageError(f"--budget-minutes {options.budget_minutes:g} is out of range; use a number above 0")
    return time.monotonic() + 60 * options.budget_minutes


def _within_budget(options: SweepOptions) -> Timeouts:
    """The limits of one lease of the sweep: its budget, and one trial more, end whatever hangs."""
    whole_s = 60 * options.budget_minutes + options.timeouts.trial_s
    return replace(options.timeouts, lease_s=whole_s, run_s=whole_s)


@contextlib.contextmanager
def _connected(resolved: ResolvedRun, options: SweepOptions) -> Iterator[tuple[SweepDevices, Store]]:
    options.timeouts.checked(simulated=resolved.simulated or resolved.self_validating)
    shared = connection.shared(options.address)
    preflight.build_once(resolved.platform, paths.cache())
    connected = connection.connected(options.address, simulated=resolved.simulated)
    with Store.open(paths.store_url()) as store, connected as head:
        line = QueueClient(Priority.NIGHTLY, f"sweep of {resolved.request.kernel}", shared=shared)
        yield SweepDevices(resolved, store, line, options.timeouts, options.address, head), store


def _conduct(going: _Sweep) -> SweepRecord:
    ended = ""
    going.observer.began(going.plan, len(going.state.cells))
    try:
        _measure(going)
        _probe_quarantined(going)
    except KeyboardInterrupt:
        where = "" if going.options.out == SweepOptions().out else f" --out {going.options.out}"
        ended = f"interrupted; go on with `farm sweep --resume {going.plan.sweep_id}{where}`"
    except (FarmError, KernelLayerError) as error:
        ended = str(error)
    except Exception as error:  # noqa: BLE001 - kept in the log; the sweep must end with a record all the same
        ended = crash_log.kept(error, going.state.journal.directory)
    _tell_health(going)
    record = _record(going, ended)
    write_sweep(record, going.state.journal.directory)
    return record


def _measure(going: _Sweep) -> None:
    """Wave after wave, until no device has anything left to do or the time is over."""
    state, bench = going.state, going.bench
    while state.may_start():
        for device, why in bench.out_of_service().items():
            state.leave(device, why, unfit=device in bench.unfit)
        due = state.due()
        if not due and state.ask_another(bench.spares(state.plan.devices)):
            continue
        present = bench.present()
        here = [device for device in due if device in present]
        if not here:
            state.gone.update(dict.fromkeys(due, "its node is not in the cluster"))
            return
        with bench.take(here) as lease:
            if lease is not None:
                timeout_s = going.options.timeouts.trial_s
                in_flight = InFlightTrials(lease, state.journal.directory, state.plan.clock, timeout_s)
                deadlines = RunDeadlines(_within_budget(going.options), lease)
                SweepExecutor(state, lease, in_flight, deadlines, going.observer, going.saw).run()
        if lease is None and state.others.keys() >= set(here):
            state.gone.update(dict.fromkeys(here, "others hold it"))  # what it would look for is said without it too
        elif lease is None and not bench.out_of_service().keys() & set(here):
            going.observer.waits(len(here), "others hold them")
            time.sleep(WAIT_S)


def _probe_quarantined(going: _Sweep) -> None:
    """A canary for each device that was left out: clean ones, hours apart, bring it back."""
    barred = going.bench.quarantined()
    away = [each for each in going.plan.quarantined if each in barred and not barred[each].by_person]
    if going.state.may_start():
        going.bench.probe(away)


def _tell_health(going: _Sweep) -> None:
    """Note the votes that devices lost, and acquit those whose faults were the kernel's.

    Once only: a resumed sweep would else take out on old evidence what a person has released since.
    """
    findings, plan = going.state.findings(), going.plan
    noted = going.state.journal.quarantined()
    votes = {device: event for device, event in _lost_votes(going, findings).items() if device not in noted}
    guilty = {place.case for finding in findings if finding.kind is Kind.KERNEL_FAILS for place in finding.places}
    the_kernels = [trial for trial in going.lost if trial.case in guilty]
    proven = [trial.failure for trial in the_kernels if trial.failure is not None]
    cleared = acquittals(the_kernels, proven, plan.sweep_id, plan.request.platform, now())
    going.store.observe([*votes.values(), *cleared])
    going.state.journal.save_quarantined(sorted({*noted, *votes}))


def _lost_votes(going: _Sweep, findings: Sequence[SweepFinding]) -> dict[str, HealthEvent]:
    """Device → what its lost vote says of it, for those that were looked at twice."""
    asked, cells = going.plan.request, going.state.cells
    unsteady = {device for device, _ in unsteady_devices(cells)}
    suspect = [each for each in findings if each.kind is Kind.DEVICE_SUSPECT and each.confirmed]
    return {
        device: lost_vote.lost_vote(
            going.store.device_history(asked.platform, device, lost_vote.HISTORY),
            device,
            asked.platform,
            now(),
            recorded_name(asked.kernel),
            going.plan.sweep_id,
            unsteady=finding.kind is Kind.DEVICE_SUSPECT and device in unsteady,
            installed=True,
        )
        for finding in (*card_or_dependence(findings, cells), *suspect)  # what is proven of a device comes last
        for device in finding.devices
    }


def _contradictions(going: _Sweep, median_us: Mapping[str, Mapping[str, float]]) -> list[SweepFinding]:
    """Programs with two times on an exact clock, in this sweep or against earlier runs."""
    plan, cells = going.plan, going.state.cells
    if plan.noisy:
        return []
    programs = {(cell.case, cell.fingerprint) for cell in cells if cell.fingerprint}
    of_plan = (recorded_name(plan.request.kernel), plan.request.platform, plan.clock, plan.toolchain)
    known: Mapping[str, Sequence[ProgramTime]] = {}
    with contextlib.suppress(StoreError):  # a sweep's own times still hold each other
        known = program_times(going.store.engine, *of_plan, programs)
    odd = odd_times(median_us, noisy=False)
    return contradictory_times(cells, known, {place.case for finding in odd for place in finding.places})


def _record(going: _Sweep, ended: str) -> SweepRecord:
    plan, cells, fleet = going.plan, going.state.cells, going.state.fleet
    barred = going.bench.quarantined()
    median_us = medians(cells)
    findings = [*going.state.findings(), *odd_times(median_us, plan.noisy), *_contradictions(going, median_us)]
    why = "the sweep was ended early" if ended else "the budget of minutes ended first"
    reasons = {device: going.state.gone.get(device, why) for device in plan.devices}
    missing = not_reached(plan.request, cells, reasons, going.state.doomed)
    verdict, reason = decide(plan.request, cells, findings, missing, fleet)
    if ended:
        verdict, reason = Verdict.ERRORED, ended
    return SweepRecord(
        sweep_id=plan.sweep_id,
        verdict=verdict,
        reason=reason,
        request=plan.request,
        clock=plan.clock,
        commit=plan.commit,
        toolchain=plan.toolchain,
        addresses=plan.addresses,
        outputs={case: named or _outputs(cells, case) for case, named in plan.outputs.items()},
        started_at=plan.started_at,
        finished_at=now(),
        budget_minutes=going.options.budget_minutes,
        resumed=going.resumed,
        devices=[going.state.devices[device] for device in sorted(going.state.devices)],
        planned=plan.devices,
        left_out=plan.quarantined,
        quarantined=[device for device in plan.devices if device in barred],
        cells=cells,
        median_us=median_us,
        findings=findings,
        not_reached=missing,
        directory=str(going.state.journal.directory),
    )


def _outputs(cells: Sequence[Cell], case: str) -> list[str]:
    """The outputs of a suite's file, which are known once it has run."""
    return sorted({output for cell in cells if cell.case == case for output in cell.sha256})
