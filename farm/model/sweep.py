"""The record of one sweep, from which every one of its reports is written: `sweep.json` is this model, dumped.

The JSON Schema in `docs/sweep.schema.json` is generated from here (`farm sweep --schema`). `SCHEMA_VERSION` is the
sweep's own and follows the rules of `farm.model.run.SCHEMA_VERSION`.
"""

from __future__ import annotations

import enum

from pydantic import Field

from farm.model.run import DeviceRecord, Verdict
from jobs.records import Failure, Record, TimeUs, TrialRecord
from kernel.clock import Clock

SCHEMA_VERSION = "2.1"


class Kind(str, enum.Enum):
    """What a finding says, and with that whose it is."""

    KERNEL_RACES = "kernel-races"  # a device disagrees with itself, and nothing speaks for the device being the cause
    DEPENDS_ON_DEVICE = "depends-on-device"  # steady devices disagree, and no strict majority is right
    WRONG_NUMBERS = "wrong-numbers"  # out of tolerance on devices that nothing else speaks against
    KERNEL_FAILS = "kernel-fails"  # it did not run to the end, and not on a minority of devices alone
    DEVICE_SUSPECT = (
        "device-suspect"  # the only unsteady one, or odd and its canary fails too, or it alone fails to run
    )
    UNDECIDED = "undecided"  # one faulty card explains it as well as the kernel does; the message has both explanations
    ODD_TIME = "odd-time"  # a device takes longer than the others, or on an exact clock another time than they
    FARM = "farm"  # devices did not run the same program, or something else than a device or the kernel failed

    @property
    def verdict(self) -> Verdict:
        """What a sweep with such a finding says about the kernel."""
        return Verdict.FAILED if self in _THE_KERNELS else Verdict.ERRORED


_THE_KERNELS = frozenset({Kind.KERNEL_RACES, Kind.DEPENDS_ON_DEVICE, Kind.WRONG_NUMBERS, Kind.KERNEL_FAILS})


class SweepRequest(Record):
    """What every device is asked to do: each case with each seed, `repeats` times."""

    kernel: str
    cases: list[str]
    platform: str
    seeds: list[int]
    repeats: int
    input_set: str
    devices: int | None = None  # how many of the healthy ones; None for all
    suite: str = ""  # profile whose files the cases are: a name or an absolute path; "" for an installed kernel
    root: str = ""  # of the suite's repository, absolute


class SweepPlan(Record):
    """What a sweep is bound to from its beginning, so that it can be resumed and nothing else can be."""

    sweep_id: str
    request: SweepRequest
    clock: Clock
    noisy: bool  # repeats of the same program differ in time
    commit: str  # git commit of the kernel's sources
    toolchain: dict[str, str]
    addresses: dict[str, str]  # case → content address of the program: sources, tuning, platform, toolchain
    outputs: dict[str, list[str]]  # case → names of its outputs
    devices: list[str]  # ids of the devices to be swept
    quarantined: list[str]  # ids of those that were left out
    started_at: str  # ISO 8601, UTC


class Cell(Record):
    """One trial of the sweep without its task profile: what the comparison needs of it."""

    device: str
    case: str
    seed: int
    repeat: int  # 0-based; below 0 a first launch, without a time; from the request's `repeats` on a second look
    sha256: dict[str, str] = Field(default_factory=dict)  # output → digest of its bytes; empty where it failed
    wrong: list[str] = Field(default_factory=list)  # outputs out of tolerance
    wall_us: TimeUs = None
    fingerprint: str = ""  # of the program this trial compiled, where the platform compiles per process
    host_s: float = 0.0
    log: str = ""  # path relative to the sweep's directory
    failure: Failure | None = None


class FindingPlace(Record):
    """One column of the matrix. `seed` is None and `output` is "" where the finding is about more than one."""

    case: str
    seed: int | None = None
    output: str = ""


class SweepFinding(Record):
    """One thing the sweep found. `devices` are those it shows on; `kind` says whether they are to blame."""

    kind: Kind
    message: str  # one line for a person
    devices: list[str] = Field(default_factory=list)
    places: list[FindingPlace] = Field(default_factory=list)
    confirmed: bool = True  # False where a second look is due and was not taken


class NotReached(Record):
    """A device of the plan that was not, or not wholly, measured."""

    device: str
    missing: int  # trials
    planned: int  # trials
    why: str  # one line


class SweepRecord(Record):
    """A plan, every cell, and the verdict."""

    schema_version: str = SCHEMA_VERSION
    sweep_id: str
    verdict: Verdict | None  # None while it runs
    reason: str  # one sentence
    request: SweepRequest
    clock: Clock
    commit: str
    toolchain: dict[str, str]
    addresses: dict[str, str]  # case → content address of the program
    outputs: dict[str, list[str]]  # case → names of its outputs
    started_at: str  # ISO 8601, UTC
    finished_at: str | None
    budget_minutes: float
    resumed: bool = False  # whether it was interrupted and gone on with
    devices: list[DeviceRecord]  # those that were held, in the order of their ids
    planned: list[str]  # ids of the devices to be swept
    left_out: list[str]  # ids of those that were quarantined when it began
    quarantined: list[str]  # ids of planned devices that are quarantined now that it is over
    cells: list[Cell]
    median_us: dict[str, dict[str, float]]  # case → device → median over its repeats and seeds, µs of `clock`
    findings: list[SweepFinding]
    not_reached: list[NotReached]
    directory: str = ""  # where the sweep's files are, absolute, on the machine that made them


def cell_of(trial: TrialRecord) -> Cell:
    """The cell of one finished trial."""
    return Cell(
        device=trial.device,
        case=trial.case,
        seed=trial.seed,
        repeat=trial.repeat,
        sha256=_digests(trial) if trial.failure is None else {},
        wrong=[
            *(name for name, output in trial.outputs.items() if not output.tolerance.passed),
            *(name for name, claim in trial.claims.items() if not claim.passed),
        ],
        wall_us=trial.wall_us,
        fingerprint=trial.fingerprint,
        host_s=trial.host_s,
        log=trial.log,
        failure=trial.failure,
    )


def _digests(trial: TrialRecord) -> dict[str, str]:
    own = {name: output.sha256 for name, output in trial.outputs.items()}
    return own | {name: claim.sha256 for name, claim in trial.claims.items() if claim.sha256}
