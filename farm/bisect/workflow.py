"""One bisect from request to record: read the range, lease, test the ends, search round by round, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from farm.atomic_file import write_whole
from farm.bisect import commit_range, metrics, resume
from farm.bisect.executor import BisectExecutor, CommitTest
from farm.bisect.observer import BisectObserver
from farm.bisect.search import BisectSearch, contradictions
from farm.bisect.state import BisectState
from farm.bisect.subject import Subject, subject
from farm.bisect.targets import CommitMetric
from farm.cluster import connection
from farm.errors import FarmError, UsageError
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrials
from farm.execution.session import Session, SessionOptions, leased
from farm.model.bisect import Answer, BisectRecord, BisectRequest, CommitOutcome, CommitTestRecord
from farm.model.run import SourceRequest
from farm.process import crash_log
from farm.report.bisect import json_dump
from farm.report.bisect.write import JSON, write_bisect
from farm.timestamps import new_id, now
from jobs.records import Arm
from kernel.errors import KernelLayerError


class NoChangeError(UsageError):
    """The good commit and the bad one answer the same, or the good one is not good."""


def bisect(
    request: BisectRequest,
    options: SessionOptions,
    observer: BisectObserver | None = None,
    *,
    report: bool = True,
    resumed: BisectRecord | None = None,
) -> BisectRecord:
    """The commit at which `request.metric` changed for the worse, with every test made on the way.

    With `report` the commit found is then run against the last good one on all devices, as `farm run --base` does.
    `resumed` is a bisect of the same request that ended early, see `farm.bisect.resume`; its answers are taken over.
    Raises `UsageError` where there is nothing to search, and what `farm.execution.session.leased` raises. Once the ends
    are known to differ every end is a record: Ctrl-C gives one with what is left to search.
    """
    observer = observer or BisectObserver()
    searched = subject(request)
    line = commit_range.read(Path(request.repository), request.good, request.bad, searched.sought())
    request = request.model_copy(
        update={
            "repository": str(line.repository),
            "good": line.candidates[0].commit,
            "bad": line.candidates[-1].commit,
        }
    )
    resolved = searched.resolve(line, options)
    with connection.connected(options.address, simulated=resolved.simulated):
        with leased(resolved, options, witnesses=False) as held:
            going = _begin(request, searched, line, held, options, observer, resumed)
            record = _conduct(going)
        if report and record.culprit is not None:
            record = _reported(record, request, searched, options, observer)
    write_bisect(record, going.directory)
    return record


def _begin(
    request: BisectRequest,
    searched: Subject,
    line: commit_range.CommitRange,
    held: Session,
    options: SessionOptions,
    observer: BisectObserver,
    resumed: BisectRecord | None,
) -> BisectState:
    basis = resume.basis(held.resolved)
    taken = resume.answered(resumed, line.candidates, basis) if resumed is not None else []
    bisect_id = new_id()
    directory = (options.out / bisect_id).resolve()
    (directory / "logs").mkdir(parents=True)
    metric = CommitMetric(metrics.make(request.metric, searched.noisy(held.resolved)))
    deadlines = RunDeadlines(options.timeouts, held.lease)
    in_flight = InFlightTrials(held.lease, directory, held.resolved.platform.clock, options.timeouts.trial_s)
    bench = BisectExecutor(held.lease, in_flight, deadlines, metric)
    template = searched.template()
    search = BisectSearch(0, len(line.candidates) - 1, frozenset(line.lacking))
    search = search.after({test.position: test.answer for test in taken if test.round > 0})
    notes = [f"{line.candidates[at].commit[:12]} is passed over: {why}" for at, why in line.lacking.items()]
    going = BisectState(
        bisect_id,
        request,
        searched,
        line,
        held,
        directory,
        now(),
        observer,
        metric,
        bench,
        template,
        search,
        basis,
        notes=notes,
    )
    if resumed is not None:
        going.resumed_from, going.probes, going.rounds = resumed.bisect_id, taken, resumed.rounds
    return going


def _conduct(going: BisectState) -> BisectRecord:
    going.observer.began(going.id, going.held.lease.held, going.line)
    outcome, reason = CommitOutcome.FOUND, ""
    try:
        _test_ends(going)
        _search(going)
    except KeyboardInterrupt:
        outcome, reason = CommitOutcome.INTERRUPTED, "interrupted"
    except UsageError:
        raise  # there is nothing to search
    except (FarmError, KernelLayerError) as error:
        outcome, reason = CommitOutcome.ERRORED, str(error)
    except Exception as error:  # noqa: BLE001 - kept in the log; the bisect must end with a record all the same
        outcome, reason = CommitOutcome.ERRORED, crash_log.kept(error, going.directory / "logs")
    return going.record(outcome, reason)


def _test_ends(going: BisectState) -> None:
    """Raise `NoChangeError` unless the good commit is good and the bad one bad."""
    first, last = 0, len(going.line.candidates) - 1
    known = {test.position for test in going.probes if test.round == 0 and test.answer is Answer.BAD}
    ends = [last] if going.metric.paired else [first, last]
    ends = [position for position in ends if position not in known]  # the good one's trials are not in the record
    if not ends:
        return
    going.observer.round_began(0, ends, going.search)
    ended: dict[int, CommitTest] = {}
    going.bench.test(
        [_probe(going, position, 0) for position in ends], lambda probe: ended.update({probe.position: probe})
    )
    for position in ends:  # the good one first: the bad one is held against it
        going.probes = [test for test in going.probes if test.position != position]
        going.probes.append(going.judged(ended[position], 0))
        going.good = ended[position].trials if position == first else going.good
        going.observer.answered(going.probes[-1])
    good, bad = going.request.good[:12], going.request.bad[:12]
    answers = {probe.position: probe for probe in going.probes if probe.round == 0}
    if first in answers and answers[first].answer is not Answer.GOOD:
        raise NoChangeError(f"GOOD {good} is not good: {answers[first].reason}; name an older commit")
    if answers[last].answer is Answer.SKIPPED:
        raise NoChangeError(f"BAD {bad} is no end to search from: {answers[last].reason}")
    if answers[last].answer is Answer.GOOD:
        metric = going.request.metric.value
        raise NoChangeError(f"no change of {metric} between GOOD {good} and BAD {bad}: BAD is {answers[last].reason}")


def _search(going: BisectState) -> None:
    while positions := going.search.probes(len(going.held.lease.slots)):
        going.rounds += 1
        going.observer.round_began(going.rounds, positions, going.search)
        begun = time.monotonic()
        try:
            answers = _test(going, positions, going.rounds)
        finally:
            going.search_s += time.monotonic() - begun
        for at in contradictions(answers):
            commit = going.line.candidates[at].commit[:12]
            going.notes.append(
                f"{commit} is good again behind a bad commit: of several changes the oldest was followed"
            )


def _test(going: BisectState, positions: Sequence[int], number: int) -> Mapping[int, Answer]:
    """Test `positions` at once; each answer narrows the search as it comes, so that an interrupt loses none."""
    before, answers = going.search, dict[int, Answer]()

    def answered(record: CommitTestRecord) -> None:
        going.probes.append(record)
        answers[record.position] = record.answer
        going.search = before.after(answers)
        _keep(going)
        going.observer.answered(record)

    probes = []
    for position in positions:
        try:
            probes.append(_probe(going, position, number))
        except UsageError as error:  # this commit has nothing to run
            answered(going.untestable(position, number, str(error)))
    going.bench.test(probes, lambda probe: answered(going.judged(probe, number)))
    return answers


def _keep(going: BisectState) -> None:
    """Have the answers on disk, as of a bisect that was interrupted, which a killed one is."""
    so_far = going.record(CommitOutcome.INTERRUPTED, "interrupted")
    write_whole(going.directory / JSON, json_dump.write(so_far))


def _probe(going: BisectState, position: int, number: int) -> CommitTest:
    commit = going.line.candidates[position].commit
    head, base = (
        going.template.model_copy(update={"tree": going.line.programs[at].address, "arm": arm})
        for at, arm in ((position, Arm.HEAD), (0, Arm.BASE))
    )
    targets = going.searched.targets(going.line.programs[position])
    return CommitTest(position, f"round{number}-{commit[:12]}", head, base, targets)


def _reported(
    record: BisectRecord, request: BisectRequest, searched: Subject, options: SessionOptions, observer: BisectObserver
) -> BisectRecord:
    """The same record with the run of the commit found against the last good one; without, where that cannot be had."""
    source = SourceRequest(
        repository=request.repository,
        commit=record.suspects[0],
        base=record.last_good,
        draw_seed=False,
        require_sandbox=request.require_sandbox,
    )
    observer.reporting()
    try:
        done = searched.report(source, metrics.DETERMINISM_REPEATS, options)
    except (FarmError, KeyboardInterrupt) as error:
        why = str(error) or "interrupted"
        return record.model_copy(update={"notes": [*record.notes, f"no report of the commit found: {why}"]})
    return record.model_copy(update={"run_id": done.run_id})
