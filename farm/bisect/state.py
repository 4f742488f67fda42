"""What is known of a bisect while it goes on, and the record that is made of it at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farm.bisect import commit_range
from farm.bisect.executor import BisectExecutor, CommitTest
from farm.bisect.observer import BisectObserver
from farm.bisect.search import BisectSearch, rounds_needed
from farm.bisect.subject import Subject
from farm.bisect.targets import CommitMetric
from farm.errors import FarmError
from farm.execution.session import Session
from farm.gates.exact_time import contradictions, describe
from farm.model.bisect import Answer, BisectRecord, BisectRequest, CommitOutcome, CommitTestRecord, Serial, TestedRecord
from farm.model.program_time import ProgramTime
from farm.source.kernel_identity import recorded_name
from farm.timestamps import now
from jobs.records import TrialRecord, TrialRequest


class ContradictionError(FarmError):
    """One program took two times on an exact clock, so no answer that rests on a time is one."""


@dataclass(slots=True)
class BisectState:
    """What is known while a bisect goes on."""

    id: str
    request: BisectRequest
    searched: Subject
    line: commit_range.CommitRange
    held: Session
    directory: Path
    started_at: str
    observer: BisectObserver
    metric: CommitMetric
    bench: BisectExecutor
    template: TrialRequest
    search: BisectSearch
    basis: str  # digest of what judges every commit
    resumed_from: str = ""
    probes: list[CommitTestRecord] = field(default_factory=list)
    rounds: int = 0
    search_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    good: Sequence[TrialRecord] = ()  # the good commit's own trials, once it was tested
    times: list[ProgramTime] = field(default_factory=list)  # of every program that was run, on an exact clock

    def judged(self, probe: CommitTest, number: int) -> CommitTestRecord:
        """Return what the metric says of a commit whose trials have ended, in round `number`.

        Raises `ContradictionError` where one program took two times on an exact clock.
        """
        self._require_one_time(probe)
        judged = self.metric.judge(probe.targets, probe.trials, self.good)
        return CommitTestRecord(
            position=probe.position,
            commit=self.line.candidates[probe.position].commit,
            round=number,
            device=probe.trials[0].device,
            answer=judged.answer,
            reason=judged.reason,
            probe_s=probe.took_s,
            trials=[_tested(trial) for trial in probe.trials],
        )

    def untestable(self, position: int, number: int, why: str) -> CommitTestRecord:
        """Return the record of a commit of which nothing can be run in round `number`."""
        return CommitTestRecord(
            position=position,
            commit=self.line.candidates[position].commit,
            round=number,
            device="",
            answer=Answer.SKIPPED,
            reason=why,
            probe_s=0.0,
            trials=[],
        )

    def _require_one_time(self, probe: CommitTest) -> None:
        """Hold the times of `probe` to those of the same programs, in this bisect and in earlier runs."""
        platform = self.held.resolved.platform
        if platform.noisy:
            return
        commit = self.line.candidates[probe.position].commit[:12]
        fresh = [
            ProgramTime(trial.fingerprint, trial.wall_us, f"{commit} on {trial.device}")
            for trial in probe.trials
            if trial.fingerprint and trial.wall_us is not None
        ]
        self.times += fresh
        kernel, case = recorded_name(self.request.kernel), self.request.case
        known = self.held.store.program_times(kernel, platform, {(case, each.program) for each in fresh})
        for pair in contradictions([*self.times, *known.get(case, ())]):
            raise ContradictionError(describe(*pair))

    def record(self, outcome: CommitOutcome, reason: str) -> BisectRecord:
        """Return the bisect as it stands now; found is narrowed where several commits remain."""
        line, search = self.line.candidates, self.search
        suspects = [line[at].commit for at in search.suspects]
        if outcome is CommitOutcome.FOUND and len(suspects) > 1:
            outcome = CommitOutcome.NARROWED
            reason = f"one of {len(suspects)} commits: those before the first bad one cannot be judged"
        elif outcome is CommitOutcome.FOUND:
            answers = [probe for probe in self.probes if probe.position == search.bad]
            reason = f"{suspects[0][:12]} is the first bad commit: {answers[-1].reason}"
        else:
            reason += f"; {len(search.open)} commits are left to test"
        return BisectRecord(
            bisect_id=self.id,
            outcome=outcome,
            reason=reason,
            request=self.request,
            clock=self.held.resolved.platform.clock,
            commits=self.line.commits,
            candidates=list(line),
            devices=[device.id for device in self.held.lease.held],
            probes=self.probes,
            rounds=self.rounds,
            search_s=self.search_s,
            serial=self._serial(),
            suspects=suspects,
            last_good=line[search.good].commit,
            notes=self.notes,
            basis=self.basis,
            resumed_from=self.resumed_from,
            started_at=self.started_at,
            finished_at=now(),
            directory=str(self.directory),
        )

    def _serial(self) -> Serial | None:
        took = [probe.probe_s for probe in self.probes if probe.round > 0]
        if not took:
            return None
        mean = sum(took) / len(took)
        count = rounds_needed(len(self.line.candidates) - 2, 1)
        return Serial(probes=count, probe_s=mean, total_s=count * mean)


def _tested(trial: TrialRecord) -> TestedRecord:
    return TestedRecord(
        arm=trial.arm,
        device=trial.device,
        repeat=trial.repeat,
        attempt=trial.attempt,
        status=trial.status,
        wall_us=trial.wall_us,
        log=trial.log,
        failure=trial.failure,
        case=trial.case,
    )
