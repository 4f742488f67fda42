"""One run of a harness's files, from request to verdict: lease, run, judge, report."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from farm import paths
from farm.analysis.sweep_matrix import Fleet
from farm.cluster import connection
from farm.errors import FarmError, UsageError
from farm.execution import preflight
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrials
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.gates.budget import budget_records, medians
from farm.gates.protocol import Evidence
from farm.harness import gates as judging
from farm.harness import verdict
from farm.harness.executor import HarnessExecutor
from farm.harness.file_selection import Found
from farm.harness.worker import HarnessWorker
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.model.device_health import HealthEvent, acquittals, events_of
from farm.model.run import FileRecord, GateRecord, HarnessRecord, RunRecord, RunRequest, Verdict
from farm.process import crash_log
from farm.report.write import write_reports
from farm.source.provenance import provenance
from farm.store import run_writer
from farm.store.run_store import Store
from farm.store.run_writer import RunWriter
from farm.timestamps import new_id, now
from jobs.faults import diagnosis
from jobs.records import TrialRecord, TrialRequest
from kernel.errors import KernelLayerError
from kernel.harness.kernel import INPUT_SET
from kernel.harness.profile import Profile, ProfileError, Timing
from kernel.platforms.command import Command

_MARGIN_S = 30.0  # a trial's limit must leave the harness's own room: to end the tree, and to read what it left


@dataclass(frozen=True, slots=True)
class HarnessRequest:
    """What was asked for."""

    profile: Profile
    root: Path  # of the repository, absolute
    found: Found
    selected: str  # how the files were chosen
    request: RunRequest  # its cases are the files


@dataclass(slots=True)
class _Run:
    """What is known while a run goes on."""

    id: str
    asked: HarnessRequest
    platform: Command
    lease: Lease
    store: RunWriter
    limits: RunDeadlines
    observer: Observer
    directory: Path
    started_at: str = field(default_factory=now)
    trials: list[TrialRecord] = field(default_factory=list)
    conductor: HarnessExecutor | None = None

    @property
    def timing(self) -> Timing:
        """What the harness's times are on this platform."""
        return self.asked.profile.platforms[self.platform.name].clock

    def keep(self, trial: TrialRecord) -> None:
        """Make `trial` durable, and what it says of its device; several devices cannot be told apart."""
        self.trials.append(trial)
        self.store.save_trials(self.id, [trial])
        if not trial.beside:
            whose = {"claimed": True, "simulated": not self.platform.noisy}  # nobody has installed its programs
            self.store.observe(events_of(trial, self.id, self.platform.name, now(), **whose))


def check(profile: Profile, platform: str, options: SessionOptions) -> None:
    """Raise `UsageError` or `ProfileError` for what is wrong before anything is started."""
    if platform not in profile.platforms:
        known = ", ".join(sorted(profile.platforms))
        raise UsageError(f"harness {profile.name} has no platform '{platform}'; its platforms: {known}")
    require_known_kinds(profile)
    trial_s, own_s = options.timeouts.trial_s, profile.longest_s(platform)
    if trial_s < own_s + profile.limits.stop_seconds + _MARGIN_S:
        told = f"--trial-timeout {trial_s:g} leaves no room for the harness's own {own_s:g} s and {_MARGIN_S:g} s more"
        raise UsageError(f"{told}; raise it, or lower limits.seconds in the profile")


def require_known_kinds(profile: Profile) -> None:
    """Raise `ProfileError` for a signature whose kind the table of faults does not have."""
    known = diagnosis.kinds()
    for number, signature in enumerate(profile.signatures):
        if signature.kind != "device" and signature.kind not in known:
            named = f"signatures.{number}.kind '{signature.kind}'"
            raise ProfileError(profile.name, f"{named} is none of: device, {', '.join(sorted(known))}")


def run(asked: HarnessRequest, options: SessionOptions, observer: Observer | None = None) -> RunRecord:
    """Run every file of `asked` and return the finished record, whose reports are in `options.out / run_id`.

    Raises what `check` and a lease raise; once devices are leased, every end is a record.
    """
    observer = observer or Observer()
    check(asked.profile, asked.request.platform, options)
    most = max((head.devices for head in asked.found.files.values()), default=1)
    if most > asked.request.devices:
        raise UsageError(f"a file takes {most} devices at once, --devices {asked.request.devices} are fewer; raise it")
    with _leased(asked, options, observer, together=most > 1) as going:
        return _conduct(going)


@contextlib.contextmanager
def _leased(asked: HarnessRequest, options: SessionOptions, observer: Observer, *, together: bool) -> Iterator[_Run]:
    request = asked.request
    factory = functools.partial(Command, asked.profile, request.platform, asked.root)
    platform = factory()
    simulated = asked.profile.platforms[request.platform].simulated
    options.timeouts.checked(simulated=True)  # the device's own limits are the harness's business
    preflight.require(platform)
    preflight.require_writable(options.out)
    connected = connection.connected(options.address, simulated=simulated)
    run_writer.wait_s()  # one that is no number is better said now
    with Store.open(paths.store_url()) as opened, closing(RunWriter(opened)) as store, connected as head:
        lease = Lease(
            factory,
            platform.name,
            str(paths.cache()),
            store,
            QueueClient(request.priority, f"harness {asked.profile.name}", shared=connection.shared(options.address)),
            request.selection,
            {},
            head,
            witnesses=True,
            together=together,
            worker=HarnessWorker,
        )
        try:
            lease.acquire(request.devices, options.wait_s, observer.waiting)
            run_id = new_id()
            directory = (options.out / run_id).resolve()
            (directory / "logs").mkdir(parents=True)
            limits = RunDeadlines(options.timeouts, lease)
            yield _Run(run_id, asked, platform, lease, store, limits, observer, directory)
        finally:
            lease.release()


def _conduct(going: _Run) -> RunRecord:
    going.store.begin(_record(going, None, "running", [], []))
    stopped = ""
    try:
        _measure(going)
    except KeyboardInterrupt:
        stopped = "interrupted"
    except (FarmError, KernelLayerError) as error:
        stopped = str(error)
    except Exception as error:  # noqa: BLE001 - kept in the log; the run must end with a record all the same
        stopped = crash_log.kept(error, going.directory / "logs")
    finally:
        shutil.rmtree(going.directory / "data", ignore_errors=True)  # frozen inputs, 100 MB and more a file
    required = going.asked.profile.lines.outputs_required
    gates = judging.judge(_evidence(going), going.platform.name, going.timing, required)
    going.observer.judged(gates)
    files = _files(going, gates, f"not reached: {stopped}" if stopped else "no device of the lease could run it")
    found, reason = (Verdict.ERRORED, stopped) if stopped else verdict.verdict(files)
    record = _record(going, found, reason, gates, files)
    patience_s = 0.0 if stopped == "interrupted" else run_writer.wait_s()
    going.store.conclude(
        record, _acquittals(going), lambda: write_reports(record, going.directory), going.directory, patience_s
    )
    return record


def _measure(going: _Run) -> None:
    asked, request = going.asked, going.asked.request
    data = asked.profile.data
    freezable = data.replay is not None and not data.seeded and bool(data.outputs) and request.repeats > 1
    going.conductor = HarnessExecutor(
        lease=going.lease,
        in_flight=InFlightTrials(going.lease, going.directory, going.platform.clock, going.limits.timeouts.trial_s),
        limits=going.limits,
        observer=going.observer,
        template=TrialRequest(
            kernel=request.kernel, case="", platform=request.platform, input_set=INPUT_SET, seed=request.seed
        ),
        heads=asked.found.files,
        repeats=request.repeats,
        freezes=frozenset(file for file, head in asked.found.files.items() if freezable and head.replays),
        data=going.directory / "data",
        save=going.keep,
    )
    going.observer.began(going.id, going.lease.held, len(asked.found.files) * request.repeats)
    going.conductor.run()


def _evidence(going: _Run) -> Evidence:
    profile = going.asked.profile
    ceilings = profile.budgets.get(going.platform.name, {})
    repeats, cards = going.asked.request.repeats, Fleet.of(going.lease.held).cards
    return judging.evidence(
        going.asked.found, profile.data, going.trials, going.platform.clock, ceilings, repeats, cards
    )


def _acquittals(going: _Run) -> list[HealthEvent]:
    """Devices on which a file failed by its own fault get their good name back."""
    blames = going.conductor.blames if going.conductor is not None else {}
    cleared = []
    for file, blame in blames.items():
        own = [trial for trial in going.trials if trial.case == file and not trial.beside]
        cleared += acquittals(own, blame.kernel, going.id, going.platform.name, now())
    return cleared


def _files(going: _Run, gates: list[GateRecord], unreached: str) -> list[FileRecord]:
    found, repeats = going.asked.found, going.asked.request.repeats
    guilt = {file: blame.kernel for file, blame in going.conductor.blames.items()} if going.conductor else {}
    return verdict.file_records(found.files, found.skipped, going.trials, gates, guilt, repeats, unreached)


def _record(
    going: _Run, found: Verdict | None, reason: str, gates: list[GateRecord], files: list[FileRecord]
) -> RunRecord:
    asked, request, evidence = going.asked, going.asked.request, _evidence(going)
    source = provenance(asked.root)
    return RunRecord(
        run_id=going.id,
        verdict=found,
        reason=reason,
        kernel=request.kernel,
        cases=request.cases,
        platform=request.platform,
        clock=going.platform.clock,
        commit=source.commit,
        commit_unknown=source.because,
        started_at=going.started_at,
        finished_at=None if found is None else now(),
        request=request,
        toolchain=going.platform.toolchain(),
        devices=going.lease.held,
        builds=[],
        trials=going.trials,
        gates=gates,
        median_us={file: median for file, median in medians(evidence).items() if median.samples},
        budget=budget_records(evidence),
        failures=going.conductor.problems if going.conductor is not None else [],
        queue_s=going.lease.queue_s,
        run_limit_s=going.limits.timeouts.run_s,
        harness=HarnessRecord(
            profile=asked.profile.name,
            profile_sha256=hashlib.sha256(asked.profile.model_dump_json().encode()).hexdigest(),
            root=str(asked.root),
            command=asked.profile.command,
            timing=going.timing.value,
            selected=asked.selected,
            files=files,
        ),
        directory=str(going.directory),
    )
