"""The record of one run, from which every report is written: `report.json` is this model, dumped.

The JSON Schema in `docs/report.schema.json` is generated from here (`farm report --schema`); `SCHEMA_VERSION` follows
semantic versioning: a new optional field raises the minor number, anything that breaks a reader raises the major one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from farm.model.priority import Priority
from farm.model.selection import Selection
from jobs.records import Arm, BuildRecord, Failure, Record, TrialRecord, time_or_none
from jobs.visible_text import made_visible
from kernel.clock import Clock, is_time

SCHEMA_VERSION = "1.7"


class Verdict(str, enum.Enum):
    """What a run says about the kernel."""

    PASSED = "passed"
    FAILED = "failed"  # the kernel's fault
    ERRORED = "errored"  # the farm's or a device's fault, or nothing could be concluded; never counts as a pass


class GateStatus(str, enum.Enum):
    """What one gate says."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"  # it could not judge because of the farm or a device
    INCONCLUSIVE = "inconclusive"  # too noisy to judge within the cap of samples
    NOT_APPLICABLE = "not-applicable"  # nothing to judge, with the reason as a finding; never counts as a pass


class Finding(Record):
    """One thing a gate has to say. `case`, `device`, `repeat` and `output` name the culprit where there is one."""

    message: str
    case: str | None = None
    device: str | None = None
    repeat: int | None = None
    output: str | None = None
    status: GateStatus | None = None  # of this finding alone; a failed gate may carry a mere note


class GateRecord(Record):
    """One gate's judgement over all trials of the run."""

    name: str  # "tolerance", "determinism", "budget"
    status: GateStatus
    findings: list[Finding] = Field(default_factory=list)


class DeviceRecord(Record):
    """One device the run held."""

    id: str  # "node/index"
    node: str  # node's address as Ray gives it
    node_id: str  # Ray's node id
    index: int  # device index on that node
    soc: str
    platform: str
    pid: int  # of the worker process that ran the trials; distinct devices have distinct workers
    card: str = ""  # physical card on that node; two devices of one card are one witness
    canary: str = ""  # what the probe at the start of the lease found
    isolation: str = ""  # what keeps foreign programs apart there; "" where the run has none


class MedianRecord(Record):
    """Medians of one case's wall times. All µs are of `clock`."""

    clock: Clock
    per_device: dict[str, float]  # device id → median over its repeats
    overall: float | None  # median over all samples; None when nothing was measured
    mad_us: float | None  # median absolute deviation from `overall`
    samples: list[float]
    interval_us: list[float] | None = None  # 95 % interval of the median on a noisy platform, [low, high]

    @model_validator(mode="before")
    @classmethod
    def _only_times(cls, values: Any, info: ValidationInfo) -> Any:
        """Leave out of a record that is read back what was kept before times were checked."""
        if info.mode != "json" or not isinstance(values, dict):
            return values
        cleaned = dict(values)
        if isinstance(per_device := values.get("per_device"), dict):
            cleaned["per_device"] = {device: us for device, us in per_device.items() if is_time(us)}
        if isinstance(samples := values.get("samples"), list):
            cleaned["samples"] = [us for us in samples if is_time(us)]
        if isinstance(interval := values.get("interval_us"), list) and not all(map(is_time, interval)):
            cleaned["interval_us"] = None
        return cleaned

    _times = field_validator("overall", mode="wrap")(time_or_none)


class BudgetRecord(Record):
    """What one case was held to. All µs are of `clock`."""

    clock: Clock
    ceiling_us: float | None
    ratchet_us: float | None  # best landed time; simulated platforms only
    source: str  # where the numbers come from


class SourceRequest(Record):
    """A commit whose program is to be run in place of the installed one, and what it is held against."""

    repository: str  # absolute path of a local git repository
    commit: str  # full id
    base: str = ""  # full id of the merge base to measure in turn with it; "" for none
    draw_seed: bool = True  # the inputs' seed is drawn once the program is built, which so cannot know it
    require_sandbox: bool = False  # no run where the program cannot be isolated


class RunRequest(Record):
    """What was asked for."""

    kernel: str
    cases: list[str]
    platform: str
    devices: int
    repeats: int  # of each case on each device; of a file of a suite by each of its witnesses
    input_set: str
    seed: int
    witnesses: int = 0  # devices of different cards that each make the repeats of a suite's file; 0: whichever is free
    tuning: dict[str, str] = Field(default_factory=dict)
    priority: Priority = Priority.INTERACTIVE
    selection: Selection = Field(default_factory=Selection)
    source: SourceRequest | None = None  # None: the installed program
    local: bool = False  # on one device of the machine it was started on, without a lease; no store has it

    @property
    def trials_a_case(self) -> int:
        """Of a file of a suite, before any second look."""
        return max(1, self.witnesses) * self.repeats


class ComparisonRecord(Record):
    """One case of the head against the base, both measured in this run. All times are of one clock."""

    clock: Clock
    answer: str  # "better or equal", "worse" or "inconclusive"
    ratio: float  # of the medians: 1.02 means that the head takes 2 % longer
    interval: list[float] | None  # of the ratio on a noisy clock, [low, high]
    allowed: float  # share of the base's time by which the head may be slower
    per_device: dict[str, float]  # device → ratio of its medians
    rounds: int  # measured of both, over all devices


class BaseRecord(Record):
    """The merge base and what was measured of it in turn with the head."""

    commit: str  # full id
    tree: str  # content address of the program's files; "" where there was nothing to measure
    lacks: str = ""  # why there was nothing to measure
    toolchain: dict[str, str] = Field(default_factory=dict)  # of a suite whose set-up makes it; else as the head's
    builds: list[BuildRecord] = Field(default_factory=list)
    trials: list[TrialRecord] = Field(default_factory=list)  # without their tasks
    comparison: dict[str, ComparisonRecord] = Field(default_factory=dict)  # by case


class GainRecord(Record):
    """How long one case of a commit took, beside what it took before. All times are of one clock."""

    case: str
    clock: Clock
    before_us: float | None  # of the merge base in the same run, else of the newest measured commit of its line
    after_us: float
    landed: int  # commits of the merge base's line with a time of the case
    largest_gain: float  # share of the time before that one of them saved; 0 where none did


class SourceRecord(Record):
    """Where a run's program came from, as opposed to its rules, which are the installation's."""

    commit: str  # full id
    tree: str  # content address of the program's files
    place: str  # of the program in the repository
    rule_changes: list[str] = Field(default_factory=list)  # paths of rules the commit has otherwise than what judged it
    compared_with: str = ""  # what those rules were compared with: a commit, or "the installation"
    controls: list[TrialRecord] = Field(default_factory=list)  # trials on a second draw of the inputs
    gains: list[GainRecord] = Field(default_factory=list)  # by case, once the run is judged


class FileStatus(str, enum.Enum):
    """How one file of a harness's run ended."""

    PASSED = "passed"
    FAILED = "failed"  # the kernel's fault
    ERRORED = "errored"  # not measured as planned, or nothing could be concluded
    SKIPPED = "skipped"  # not for this platform


class FileRecord(Record):
    """One file of a harness's run."""

    file: str  # path below the repository's root
    status: FileStatus
    reason: str  # one sentence
    devices: int = 1  # one trial of it takes
    base: str = ""  # what the merge base made of it, in a few words; "" where that was not run


class SetupRecord(Record):
    """One set-up step of a suite's repository, on one machine: a build that its files share."""

    name: str
    machine: str  # host name
    arm: Arm = Arm.HEAD  # whose repository: the one under test, or the merge base's
    address: str = ""  # SHA-256 over all that decides what it makes; "" where it makes nothing
    seconds: float  # it took when it was made
    cached: bool  # an earlier run had made it
    skipped: bool = False  # what it makes was present
    captured: dict[str, str] = Field(default_factory=dict)  # variables that it printed
    log: str = ""  # path relative to the run's directory
    problem: str = ""  # why it failed, one line; "" where it did not

    _printable = field_validator("problem", mode="before")(made_visible)


class HarnessRecord(Record):
    """What an external harness was asked to run, and the result of each file."""

    profile: str  # name
    profile_source: str = ""  # what it was named by: a shipped profile's name or an absolute path; "" in old records
    profile_sha256: str
    root: str  # the repository, as an absolute path on the machine that ran it
    exact: bool = False  # whether it was exactly its commit, with no file besides
    command: list[str]  # template
    seeded: bool = False  # the same seed gives every run the same inputs
    timing: str  # what its times are: "measured" (a device's), "simulated" (a cost model's) or "host" (CPU time)
    selected: str  # how the files were chosen, one sentence
    setup: list[SetupRecord] = Field(
        default_factory=list
    )  # in their order; other machines' after those of the driver's
    files: list[FileRecord] = Field(default_factory=list)  # every file that was chosen, those that were skipped too


class RunRecord(Record):
    """A request, all its trials, and the verdict."""

    schema_version: str = SCHEMA_VERSION
    run_id: str
    verdict: Verdict | None  # None while it runs
    reason: str  # one sentence
    kernel: str
    cases: list[str]
    platform: str
    clock: Clock
    commit: str  # git commit of the kernel's sources, with "-dirty" where they differ; "unknown" where nobody can say
    commit_unknown: str = ""  # why, in words; "" where the commit is known
    started_at: str  # ISO 8601, UTC
    finished_at: str | None
    request: RunRequest
    toolchain: dict[str, str]
    devices: list[DeviceRecord]
    builds: list[BuildRecord]
    trials: list[TrialRecord]  # every attempt, failed ones too
    warm_ups: list[TrialRecord] = Field(default_factory=list)  # first launches: without times, their outputs are judged
    gates: list[GateRecord]
    median_us: dict[str, MedianRecord]  # by case
    budget: dict[str, BudgetRecord]  # by case, those that have one
    failures: list[Failure] = Field(default_factory=list)  # faults that belong to no single trial
    queue_s: float = 0.0  # how long the run waited for its devices; no limit of the run counts it
    run_limit_s: float | None = None  # how long it might take once it had them
    source: SourceRecord | None = None  # None: the installed program
    base: BaseRecord | None = None  # None: measured against none
    resumed_from: str = ""  # the interrupted run whose finished trials this one took over
    harness: HarnessRecord | None = None  # where an external harness compared, instead of the farm
    directory: str = ""  # where the run's files are, as an absolute path on the machine that made them

    # Set by `farm.api`: what draws a record is above this layer. None: a notebook falls back to the text.
    notebook_html: ClassVar[Callable[[RunRecord], str] | None] = None

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows."""
        draw = type(self).notebook_html
        return draw(self) if draw else None
