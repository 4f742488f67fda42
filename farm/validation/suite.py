"""One run of a suite's files, from request to verdict: lease, run, judge, report."""

from __future__ import annotations

import functools
import glob
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

from farm.errors import UsageError
from farm.execution import preflight
from farm.execution.deadlines import RunDeadlines
from farm.execution.observer import Observer
from farm.execution.progress_file import ProgressFile
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import SessionOptions, leased
from farm.gates.determinism import second_look, suspect_devices
from farm.gates.protocol import PlannedMeasurement
from farm.harness import file_selection, verdict
from farm.harness import gates as judging
from farm.harness.worker import HarnessWorker
from farm.leasing.device_lease import card_of
from farm.model.device_health import claim
from farm.model.run import (
    FileStatus,
    RunRecord,
    Verdict,
)
from farm.timestamps import now
from farm.validation import resume
from farm.validation.conduct import Judgement, conduct, make_directory
from farm.validation.suite_state import SuiteRequest, SuiteRun
from jobs.faults import diagnosis
from kernel.harness import profiles
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Profile, ProfileError
from kernel.harness.targets import file_of
from kernel.platforms.command import Command

_MARGIN_S = 30.0  # a trial's limit must leave the suite's own room: to end the tree, and to read what it left


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


def resolve(asked: SuiteRequest, options: SessionOptions) -> ResolvedRun:
    """Return what is to be run: the files as one kernel, and their platform. Raises what `check` raises."""
    request, profile = asked.request, asked.profile
    check(profile, request.platform, options)
    preflight.amounts(request)
    most = max((head.devices for head in asked.found.files.values()), default=1)
    if most > request.devices:
        raise UsageError(f"a file takes {most} devices at once, --devices {request.devices} are fewer; raise it")
    factory = functools.partial(Command, profile, request.platform, asked.root)
    platform = factory()
    preflight.require(platform)
    return ResolvedRun(
        request,
        HarnessKernel(profile, asked.root, tuple(asked.found.files)),
        factory,
        platform,
        simulated=profile.platforms[request.platform].simulated,
        self_validating=True,
        together=most > 1,
        worker=HarnessWorker,
    )


def of_record(record: RunRecord) -> SuiteRequest:
    """Return the request that `record` is the answer to, for its files as they are now.

    Raises `UsageError` or `ProfileError` where the profile, the repository or one of the files is gone.
    """
    told = record.harness
    assert told is not None, "only a suite's run has files"
    root = Path(told.root)
    if not root.is_dir():
        raise UsageError(f"run {record.run_id} cannot go on: its repository {root} is gone")
    profile = profiles.find(told.profile_source or told.profile)
    patterns = sorted({glob.escape(file_of(case, profile)) for case in record.cases})
    found = file_selection.discover(root, patterns, profile, record.platform).only(record.cases)
    if gone := sorted(set(record.cases) - set(found.files)):
        raise UsageError(f"run {record.run_id} cannot go on: {gone[0]} is no longer a file of {profile.name}")
    skipped = {file.file: file.reason for file in told.files if file.status is FileStatus.SKIPPED}
    source = told.profile_source or told.profile
    return SuiteRequest(profile, source, root, replace(found, skipped=skipped), told.selected, record.request)


def run(
    asked: SuiteRequest,
    options: SessionOptions,
    observer: Observer | None = None,
    resumed: RunRecord | None = None,
) -> RunRecord:
    """Run every file of `asked` and return the finished record, whose reports are in `options.out / run_id`.

    `resumed` is an interrupted run of the same files, checked by `farm.validation.resume.require`, whose finished
    trials are taken over where nothing has changed since. Raises what `check` and a lease raise; once devices are
    leased, every end is a record.
    """
    observer = observer or Observer()
    with leased(resolve(asked, options), options, observer) as held:
        run_id, directory = make_directory(options)
        limits = RunDeadlines(options.timeouts, held.lease)
        going = SuiteRun(run_id, asked, held, directory, ProgressFile(directory, observer), limits, resumed)
        return conduct(going, functools.partial(_measure, going), functools.partial(_judge, going))


def _measure(going: SuiteRun) -> None:
    going.observer.began(going.id, going.held.lease.held, len(going.planned))
    try:
        _take_over(going)
        going.executor.run()
        _look_again(going)
    finally:
        shutil.rmtree(going.directory / "data", ignore_errors=True)  # frozen operands, 100 MB and more a file


def _judge(going: SuiteRun, stopped: str) -> Judgement:
    required = going.asked.profile.lines.outputs_required
    gates = judging.judge(going.evidence(), going.platform.name, going.timing, required)
    unreached = f"not reached: {stopped}" if stopped else "no device of the lease could run it"
    guilt = {file: blame.kernel for file, blame in going.executor.blames.items()}
    planned = Counter(each.case for each in going.planned)
    found = going.asked.found
    going.files = verdict.file_records(found.files, found.skipped, going.trials, gates, guilt, planned, unreached)
    judged, reason = (Verdict.ERRORED, stopped) if stopped else verdict.verdict(going.files)
    return judged, reason, gates


def _take_over(going: SuiteRun) -> None:
    """The finished trials of the resumed run, if there is one."""
    if going.resumed is None:
        return
    here = going.record(None, "running", [])
    taken = resume.finished_files(going.resumed, here, going.executor.freezes)
    resume.copy_logs(going.resumed, resume.ReusedTrials(tuple(taken)), going.directory)
    going.held.store.save_trials(going.id, taken)
    going.trials.extend(taken)
    cards = {device.id: card_of(device) for device in going.resumed.devices}
    repeats: dict[str, set[int]] = {}
    for trial in taken:
        repeats.setdefault(trial.case, set()).add(trial.repeat)
        together = {cards[device] for device in (trial.device, *trial.beside)}
        going.executor.blames[trial.case].take(trial, "+".join(sorted(together)))
        going.observer.measured(trial, kept=True)
    proven = {file: set(range(going.asked.request.repeats)) for file in repeats if going.executor.blames[file].kernel}
    going.executor.taken = {file: frozenset(done) for file, done in (repeats | proven).items()}


def _look_again(going: SuiteRun) -> None:
    """Where devices disagree on a file, repeat it where that can decide whose fault it is: one look proves nothing."""
    first = going.evidence()
    held = {device.id for device in going.held.lease.held}
    again = {
        file: devices & held
        for file, devices in second_look(first).items()
        if devices & held and going.asked.found.files[file].devices == 1 and going.executor.can_repeat(file)
    }
    if not again:
        return
    done = going.asked.request.repeats
    repeats = range(done, 2 * done)
    more = [PlannedMeasurement(file, 0, repeat) for file, ids in again.items() for _ in ids for repeat in repeats]
    going.planned += more
    going.looked_again = frozenset(device for devices in again.values() for device in devices)
    going.observer.extended(len(more), f"second look at {', '.join(sorted(going.looked_again))}")
    going.executor.look_again(again, repeats)
    lost = sorted(suspect_devices(going.evidence()) & (suspect_devices(first) | going.looked_again))
    platform, why = going.platform, "lost the determinism vote twice"
    if platform.noisy:  # a suite's programs are not installed ones: their word alone takes no device away
        going.held.store.observe([claim(each, platform.name, now(), why, going.id) for each in lost])
