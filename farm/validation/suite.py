"""One run of a suite's files, from request to verdict: lease, run, judge, report."""

from __future__ import annotations

import functools
import glob
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

from farm import paths
from farm.errors import UsageError
from farm.execution import preflight
from farm.execution.deadlines import RunDeadlines
from farm.execution.observer import Observer
from farm.execution.progress_file import ProgressFile
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import SessionOptions, leased
from farm.gates.determinism import second_look, suspect_devices
from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.harness import file_selection, preparation, verdict
from farm.harness import gates as judging
from farm.harness.profile_check import check
from farm.harness.worker import HarnessWorker
from farm.leasing.device_lease import card_of
from farm.model.device_health import claim
from farm.model.run import (
    FileStatus,
    RunRecord,
    Verdict,
)
from farm.source import programs, suite_commits
from farm.text import counted
from farm.timestamps import now
from farm.validation import resume
from farm.validation.conduct import Judgement, conduct, make_directory
from farm.validation.state import MAX_REPEATS_NOISY
from farm.validation.suite_base import other_tools, said_of_base
from farm.validation.suite_other_cards import look_elsewhere
from farm.validation.suite_state import SuiteRequest, SuiteRun
from jobs.records import Arm
from kernel.harness import profiles
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Timing
from kernel.harness.targets import file_of
from kernel.platforms.command import Command


def resolve(asked: SuiteRequest, options: SessionOptions) -> ResolvedRun:
    """Return what is to be run: the files as one kernel, and their platform. Raises what `check` raises."""
    request, profile = asked.request, asked.profile
    check(profile, request.platform, options.timeouts.trial_s)
    preflight.amounts(request)
    if request.witnesses > request.devices:
        told = f"--witnesses {request.witnesses} need as many devices, --devices {request.devices} are fewer"
        raise UsageError(f"{told}; raise it, or lower --witnesses")
    most = max((head.devices for head in asked.found.files.values()), default=1)
    if most > request.devices:
        raise UsageError(f"a file takes {most} devices at once, --devices {request.devices} are fewer; raise it")
    confinement = None
    if asked.commits is not None:
        if asked.commits.request.require_sandbox:
            programs.require_sandbox_here()
        # A canary that the commit brings would speak for the commit, and nothing would keep it apart.
        profile = profile.without_canaries()
        confinement = asked.commits.confinement(profile)
    launcher = confinement.launcher if confinement is not None else None
    factory = functools.partial(Command, profile, request.platform, asked.root, launcher)
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
        confinement=confinement,
    )


def of_record(record: RunRecord) -> SuiteRequest:
    """Return the request that `record` is the answer to, for its files as they are now.

    Raises `UsageError` or `ProfileError` where the profile, the repository or one of the files is gone.
    """
    told = record.harness
    assert told is not None, "only a suite's run has files"
    root, commits = Path(told.root), None
    if not root.is_dir():
        raise UsageError(f"run {record.run_id} cannot go on: its repository {root} is gone")
    if record.request.source is not None:
        commits = suite_commits.read(record.request.source)
        root = commits.head.unpack(paths.cache())
    profile = profiles.find(told.profile_source or told.profile)
    patterns = sorted({glob.escape(file_of(case, profile)) for case in record.cases})
    found = file_selection.discover(root, patterns, profile, record.platform).only(record.cases)
    if gone := sorted(set(record.cases) - set(found.files)):
        raise UsageError(f"run {record.run_id} cannot go on: {gone[0]} is no longer a file of {profile.name}")
    skipped = {file.file: file.reason for file in told.files if file.status is FileStatus.SKIPPED}
    source = told.profile_source or told.profile
    chosen = replace(found, skipped=skipped)
    return SuiteRequest(profile, source, root, chosen, told.selected, record.request, commits)


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
    resolved = resolve(asked, options)
    platforms = _platforms(asked, resolved)
    made = preparation.prepared(platforms, paths.cache(), observer.preparing)
    with leased(resolved, options, observer) as held:
        run_id, directory = make_directory(options)
        limits = RunDeadlines(options.timeouts, held.lease)
        going = SuiteRun(run_id, asked, held, directory, ProgressFile(directory, observer), limits, resumed)
        going.setup = preparation.records_of(made, directory)
        if Arm.BASE in platforms and all(each.repository.result is not None for each in platforms.values()):
            going.base_toolchain = platforms[Arm.BASE].toolchain()
        return conduct(going, functools.partial(_measure, going), functools.partial(_judge, going))


def _platforms(asked: SuiteRequest, resolved: ResolvedRun) -> dict[Arm, Command]:
    """What is set up: the repository that is run, and the merge base's."""
    head = resolved.platform
    assert isinstance(head, Command)
    if not asked.profile.setup or asked.commits is None or asked.commits.base is None:
        return {Arm.HEAD: head}
    base = asked.commits.base.unpack(paths.cache())
    return {Arm.HEAD: head, Arm.BASE: head.at(base)}


def _measure(going: SuiteRun) -> None:
    going.observer.began(going.id, going.held.lease.held, len(going.planned))
    try:
        _take_over(going)
        going.executor.run()
        _settle_comparisons(going)
        _look_again(going)
    finally:
        shutil.rmtree(going.directory / "data", ignore_errors=True)  # frozen operands, 100 MB and more a file


def _judge(going: SuiteRun, stopped: str) -> Judgement:
    required = going.asked.profile.lines.outputs_required
    evidence = going.evidence()
    gates = judging.judge(evidence, going.platform.name, going.timing, required, going.regression(evidence))
    unreached = f"not reached: {stopped}" if stopped else "no device of the lease could run it"
    guilt = {file: blame.kernel for file, blame in going.executor.blames.items()}
    planned = Counter(each.case for each in going.planned if each.arm is Arm.HEAD)
    found = going.asked.found
    judged_files = verdict.file_records(found.files, found.skipped, going.trials, gates, guilt, planned, unreached)
    tools = other_tools(going.platform.toolchain(), going.base_toolchain)
    going.files = [
        each.model_copy(update={"base": "; ".join(filter(None, (said, tools)))})
        for each in judged_files
        for said in [said_of_base(each.file, going.trials, going.base_trials)]
    ]
    judged, reason = (Verdict.ERRORED, stopped) if stopped else verdict.verdict(going.files)
    return judged, reason, gates


def _take_over(going: SuiteRun) -> None:
    """The finished trials of the resumed run, if there is one."""
    if going.resumed is None:
        return
    here = going.record(None, "running", [])
    reused = resume.finished_files(going.resumed, here, going.executor.freezes)
    taken = list(reused.head)
    resume.copy_logs(going.resumed, reused, going.directory)
    going.held.store.save_trials(going.id, taken)
    going.trials.extend(taken)
    going.base_trials.extend(reused.base)
    cards = {device.id: card_of(device) for device in going.resumed.devices}
    repeats: dict[str, set[int]] = {}
    for trial in taken:
        repeats.setdefault(trial.case, set()).add(trial.repeat)
        together = {cards[device] for device in (trial.device, *trial.beside)}
        going.executor.blames[trial.case].take(trial, "+".join(sorted(together)))
        going.observer.measured(trial, kept=True)
    proven = {file: set(range(going.executor.repeats)) for file in repeats if going.executor.blames[file].kernel}
    going.executor.taken = {file: frozenset(done) for file, done in (repeats | proven).items()}


def _settle_comparisons(going: SuiteRun) -> None:
    """Where noise hides whether a file is slower than its base, measure both in further rounds, up to a bound."""
    if going.timing is Timing.SIMULATED:
        return  # a cost model's times have no noise
    rounds = going.asked.request.trials_a_case
    while going.next_repeat + rounds <= MAX_REPEATS_NOISY * max(1, going.asked.request.witnesses):
        evidence = going.evidence()
        gate = going.regression(evidence)
        undecided = [] if gate is None else gate.undecided_cases(evidence)
        undecided = [file for file in undecided if not going.executor.blames[file].kernel]
        if not undecided:
            return
        repeats = range(going.next_repeat, going.next_repeat + rounds)
        arms = (Arm.HEAD, Arm.BASE)
        more = [PlannedMeasurement(file, 0, repeat, arm) for file in undecided for repeat in repeats for arm in arms]
        going.planned += more
        going.observer.extended(len(more), f"noise hides the answer of {counted(len(undecided), 'file')}")
        going.executor.go_on(undecided, repeats)


def _look_again(going: SuiteRun) -> None:
    """Where devices disagree on a file, repeat it where that can decide whose fault it is: one look proves nothing."""
    first = going.evidence()
    held = {device.id for device in going.held.lease.held}
    again = {
        file: devices & held
        for file, devices in second_look(first).items()
        if devices & held and going.asked.found.files[file].devices == 1 and going.executor.can_repeat(file)
    }
    if again:
        _repeat(going, again)
    look_elsewhere(going)
    if again:
        _note_lost_votes(going, first)


def _repeat(going: SuiteRun, again: dict[str, frozenset[str]]) -> None:
    repeats = range(going.next_repeat, going.next_repeat + going.asked.request.trials_a_case)
    more = [PlannedMeasurement(file, 0, repeat) for file, ids in again.items() for _ in ids for repeat in repeats]
    going.planned += more
    going.looked_again = frozenset(device for devices in again.values() for device in devices)
    going.observer.extended(len(more), f"second look at {', '.join(sorted(going.looked_again))}")
    going.executor.look_again(again, repeats)


def _note_lost_votes(going: SuiteRun, first: Evidence) -> None:
    lost = sorted(suspect_devices(going.evidence()) & (suspect_devices(first) | going.looked_again))
    platform, why = going.platform, "lost the determinism vote twice"
    if platform.noisy:  # a suite's programs are not installed ones: their word alone takes no device away
        going.held.store.observe([claim(each, platform.name, now(), why, going.id) for each in lost])
