"""The record of one bisect, from which its reports are written: `bisect.json` is this model, dumped.

`SCHEMA_VERSION` is the bisect's own and follows the rules of `farm.model.run.SCHEMA_VERSION`.
"""

from __future__ import annotations

import enum

from pydantic import Field

from jobs.records import Arm, Failure, Record, TimeUs, TrialStatus
from kernel.clock import Clock

SCHEMA_VERSION = "2.1"


class MetricName(str, enum.Enum):
    """What has changed for the worse."""

    WALL = "wall"  # the wall time, against that of the good commit
    TOLERANCE = "tolerance"  # outputs are out of tolerance
    DETERMINISM = "determinism"  # bits differ between repeats, or between two devices
    VERDICT = "verdict"  # it does not run to its end, or its outputs are wrong


class CommitOutcome(str, enum.Enum):
    """How a bisect ended."""

    FOUND = "found"  # one commit
    NARROWED = "narrowed"  # several: those before the first bad one cannot be judged
    INTERRUPTED = "interrupted"  # Ctrl-C; what was measured still counts
    ERRORED = "errored"  # the farm's or a device's fault


class BisectRequest(Record):
    """What was asked for."""

    repository: str  # absolute path of a local git repository
    good: str  # full id of a commit
    bad: str  # full id of a later one
    kernel: str
    case: str
    platform: str
    devices: int
    metric: MetricName
    input_set: str
    seed: int
    tuning: dict[str, str] = Field(default_factory=dict)
    require_sandbox: bool = False
    suite: str = ""  # profile whose file `case` is searched: a name or an absolute path; "" for an installed kernel
    workflow: str = ""  # of the profile: its targets in place of one file; `case` is its name then


class CommitRecord(Record):
    """One commit of the range whose program differs from the one before it."""

    commit: str  # full id
    subject: str  # first line of its message
    author: str
    date: str  # ISO 8601
    parents: list[str]  # full ids; more than one for a merge


class TestedRecord(Record):
    """One trial of a test, without its outputs and tasks, of which a search needs none afterwards."""

    arm: Arm  # head: the commit itself; base: the good one, in turn with it
    device: str
    repeat: int  # −1 for a warm-up
    attempt: int
    status: TrialStatus
    wall_us: TimeUs
    log: str  # path relative to the bisect's directory
    failure: Failure | None
    case: str = ""  # or target; "" in old records


class CommitTestRecord(Record):
    """The test of one commit."""

    position: int  # in the line of candidates; 0 is the good commit
    commit: str
    round: int  # 0 for the ends, which are tested before the search
    device: str  # "" where nothing of it could be run
    answer: Answer
    reason: str  # one sentence
    probe_s: float  # host seconds from its first trial's start to its last one's end, building included
    trials: list[TestedRecord]


class Serial(Record):
    """What one device testing one commit after the other would take. Computed, not measured."""

    probes: int  # ⌈log₂ of the commits to tell apart⌉
    probe_s: float  # mean host seconds of this bisect's own probes
    total_s: float  # the product


class BisectRecord(Record):
    """A range of commits, every test made in it, and the result of the search."""

    schema_version: str = SCHEMA_VERSION
    bisect_id: str
    outcome: CommitOutcome
    reason: str  # one sentence
    request: BisectRequest
    clock: Clock
    commits: int  # of the range, with the bad one and without the good one
    candidates: list[CommitRecord]  # the good commit, then those that change the program, oldest first
    devices: list[str]  # every device that was held, by id
    probes: list[CommitTestRecord]
    rounds: int  # of the search; the ends are not counted
    search_s: float  # host seconds of those rounds
    serial: Serial | None  # None where nothing was searched
    suspects: list[str]  # ids of the commits the change may be at, oldest first
    last_good: str  # id of the last commit known to be good
    notes: list[str] = Field(default_factory=list)
    basis: str = ""  # digest of the installed kernel and the toolchain that judged every commit; "" in old records
    resumed_from: str = ""  # id of the bisect whose answers were taken over
    run_id: str = ""  # of the run of the commit found against the last good one; "" where none was made
    started_at: str  # ISO 8601, UTC
    finished_at: str
    directory: str = ""  # absolute, on the machine that made it

    @property
    def culprit(self) -> CommitRecord | None:
        """The commit that was found."""
        if self.outcome is not CommitOutcome.FOUND:
            return None
        return next(each for each in self.candidates if each.commit == self.suspects[0])


class Answer(str, enum.Enum):
    """What a test says of one commit."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"  # it cannot be judged
