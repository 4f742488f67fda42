"""What a commit is asked, and what its trials answer. Pure: trials in, an answer out.

On a noisy platform a time is only good for a comparison in turn on the same device, so there each commit is measured
together with the good one, and the regression gate's statistics say which of them is slower. On an exact clock one
trial is enough, and it is compared with the good commit's as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from farm.gates.regression import ALLOWED_EXACT, ALLOWED_NOISY, FEWEST_ROUNDS, ArmComparison, TimedProgram, compare
from farm.model.bisect import Answer, MetricName
from farm.text import counted, microseconds, outliers_of
from jobs.records import Arm as Program
from jobs.records import Fault, TrialRecord, TrialStatus
from kernel.clock import Clock

DETERMINISM_REPEATS = 3
# Pairs of one commit on a noisy platform after which its answer is looked at; as many looks, and at most as many pairs,
# as the gate's confidence is made for.
LOOKS = (FEWEST_ROUNDS, 9, 11, 12)
# A kernel that ran and left nothing to compare has wrong numbers; any other failure says nothing about them.
_WRONG = ("unwritten-output", "input-changed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One more trial of a probe."""

    program: Program  # HEAD is the commit itself, BASE the good one beside it
    repeat: int  # −1 for a warm-up
    elsewhere: bool = False  # on another device than the trials before; left out where there is no other


@dataclass(frozen=True, slots=True)
class Judged:
    """What the trials of one commit say."""

    answer: Answer
    reason: str


class Metric(Protocol):
    """One way of telling a good commit from a bad one."""

    paired: bool  # the good commit runs beside each one, so it needs no test of its own

    def wanted(self, trials: Sequence[TrialRecord]) -> Wanted | None:
        """The next trial of a commit whose `trials` have ended; None when they suffice."""
        ...

    def judge(self, trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """The answer of `trials`, all of one commit; `good` are the good commit's own, empty before it was tested."""
        ...


def make(name: MetricName, noisy: bool) -> Metric:
    """The metric called `name` on a platform that is `noisy` or exact."""
    if name is MetricName.TOLERANCE:
        return ToleranceMetric()
    if name is MetricName.DETERMINISM:
        return Determinism()
    if name is MetricName.VERDICT:
        return VerdictMetric()
    return NoisyWall() if noisy else ExactWall()


@dataclass(frozen=True, slots=True)
class ToleranceMetric:
    """Every output is within its tolerance."""

    paired = False

    def wanted(self, trials: Sequence[TrialRecord]) -> Wanted | None:
        """One trial."""
        return None if trials else Wanted(Program.HEAD, 0)

    def judge(self, trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """Bad where an output is out of tolerance, was never written, or an input was written to."""
        failed = _failed(trials)
        if failed is not None and failed.failure is not None and failed.failure.kind in _WRONG:
            return Judged(Answer.BAD, failed.failure.message)
        if failed is not None or not trials:
            return _unjudged(failed)
        if wrong := _wrong(trials[0]):
            return Judged(Answer.BAD, f"out of tolerance: {', '.join(wrong)}")
        if not (trials[0].outputs or trials[0].claims):
            return Judged(Answer.SKIPPED, "nothing was compared")
        return Judged(Answer.GOOD, "within tolerance")


@dataclass(frozen=True, slots=True)
class VerdictMetric:
    """It runs to its end, and its outputs are right."""

    paired = False

    def wanted(self, trials: Sequence[TrialRecord]) -> Wanted | None:
        """One trial."""
        return None if trials else Wanted(Program.HEAD, 0)

    def judge(self, trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """Bad where the program itself is at fault, of whatever kind, or an output is wrong."""
        failed = _failed(trials)
        if failed is not None and failed.failure is not None and failed.failure.fault is Fault.KERNEL:
            return Judged(Answer.BAD, failed.failure.message)
        if failed is not None or not trials:
            return _unjudged(failed)
        if wrong := _wrong(trials[0]):
            return Judged(Answer.BAD, f"wrong: {', '.join(wrong)}")
        if not (trials[0].outputs or trials[0].claims):
            return Judged(Answer.SKIPPED, "nothing was compared")
        return Judged(Answer.GOOD, "it passes")


@dataclass(frozen=True, slots=True)
class Determinism:
    """Repeats on one device give the same bits, and another device gives them too."""

    paired = False

    def wanted(self, trials: Sequence[TrialRecord]) -> Wanted | None:
        """Three repeats on one device, then one on another."""
        done = len(trials)
        if done > DETERMINISM_REPEATS or _failed(trials):
            return None
        return Wanted(Program.HEAD, done, elsewhere=done == DETERMINISM_REPEATS)

    def judge(self, trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """As the gate: bad where a device disagrees with itself, and where two disagree, which have no majority."""
        failed = _failed(trials)
        if failed is not None or len(trials) < DETERMINISM_REPEATS:
            return _unjudged(failed)
        own, others = trials[:DETERMINISM_REPEATS], trials[DETERMINISM_REPEATS:]
        if odd := _differing(own):
            return Judged(Answer.BAD, f"the kernel races: bits of {odd} differ between repeats on one device")
        devices = " and ".join(dict.fromkeys(trial.device for trial in trials))
        if not all(_bits(trial) for trial in trials):
            return Judged(Answer.SKIPPED, "it keeps no outputs whose bits could be compared")
        if odd := _differing(trials):
            return Judged(Answer.BAD, f"the kernel depends on the device: bits of {odd} differ between {devices}")
        where = f"and on a second device ({devices})" if others else "on one device; there was no second one"
        return Judged(Answer.GOOD, f"the same bits in {len(own)} repeats {where}")


@dataclass(frozen=True, slots=True)
class ExactWall:
    """The simulated time is not above the good commit's."""

    paired = False

    def wanted(self, trials: Sequence[TrialRecord]) -> Wanted | None:
        """One trial."""
        return None if trials else Wanted(Program.HEAD, 0)

    def judge(self, trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """Bad where the time is above the good commit's by more than the clock's resolution."""
        failed = _failed(trials)
        us = trials[0].wall_us if trials and failed is None else None
        if us is None:
            return _unjudged(failed)
        reference = good[0].wall_us if good else None
        if reference is None:
            return Judged(Answer.GOOD, f"{microseconds(us)} µs, what the others are held to")
        # An exact clock gives one program the same time on every device, so all of them are one.
        clock = trials[0].clock
        found = compare(_one(clock, reference), _one(clock, us), ALLOWED_EXACT, noisy=False)
        assert found is not None, "both arms have one round on one device"
        return _of(found, f"{microseconds(us)} µs, {microseconds(reference)} µs at the good commit")


@dataclass(frozen=True, slots=True)
class NoisyWall:
    """The measured time is not above the good commit's, both measured in turn on one device."""

    paired = True

    def wanted(self, trials: Sequence[TrialRecord]) -> Wanted | None:
        """A warm-up of each, then pairs until one of the `LOOKS` decides."""
        if _failed(trials):
            return None
        done = len(trials)
        number, second = divmod(done, 2)
        repeat = number - 1
        if second == 0 and repeat == LOOKS[-1]:
            return None
        if second == 0 and repeat in LOOKS and self.judge(trials, ()).answer is not Answer.SKIPPED:
            return None
        # Who goes first changes from round to round, so that a drift of the device favours neither.
        base_first = repeat % 2 == 0
        return Wanted(Program.BASE if base_first == (second == 0) else Program.HEAD, repeat)

    def judge(self, trials: Sequence[TrialRecord], good: Sequence[TrialRecord]) -> Judged:
        """The regression gate's answer; skipped where it is inconclusive."""
        failed = _failed(trials)
        if failed is not None or not trials:
            return _unjudged(failed)
        base, head = (_arm(trials, program) for program in (Program.BASE, Program.HEAD))
        found = compare(base, head, ALLOWED_NOISY, noisy=True)
        if found is None:
            return Judged(Answer.SKIPPED, "no device measured it and the good commit in one round")
        return _of(found, f"{found.ratio:.4f} × the good commit in {counted(found.rounds, 'round')}")


_ANSWERS = {"better or equal": Answer.GOOD, "worse": Answer.BAD, "inconclusive": Answer.SKIPPED}


def _of(found: ArmComparison, figures: str) -> Judged:
    return Judged(_ANSWERS[found.answer.value], f"{found.answer.value}: {figures}")


def _one(clock: Clock, us: float) -> TimedProgram:
    return TimedProgram(clock, {"every device": {0: us}})


def _arm(trials: Sequence[TrialRecord], program: Program) -> TimedProgram:
    rounds: dict[str, dict[int, float]] = {}
    for trial in trials:
        if trial.arm is program and trial.repeat >= 0 and trial.wall_us is not None and trial.wall_us > 0:
            rounds.setdefault(trial.device, {})[trial.repeat] = trial.wall_us
    return TimedProgram(trials[0].clock, rounds)


def _differing(trials: Sequence[TrialRecord]) -> str:
    """Names of the outputs whose bits are not the same in all `trials`."""
    bits = [_bits(trial) for trial in trials]
    names = sorted({name for of_trial in bits for name in of_trial})
    return ", ".join(name for name in names if len({of_trial.get(name, "") for of_trial in bits}) > 1)


def _bits(trial: TrialRecord) -> dict[str, str]:
    """Output → digest of its bits, by the farm or by the program."""
    own = {name: output.sha256 for name, output in trial.outputs.items()}
    return own | {name: claim.sha256 for name, claim in trial.claims.items() if claim.sha256}


def _wrong(trial: TrialRecord) -> list[str]:
    """Each output that is out of its tolerance, with by how much, or that a suite's file says is wrong."""
    wrong = {name: output for name, output in trial.outputs.items() if not output.tolerance.passed}
    found = [f"{name}: {output.tolerance.problem or outliers_of(output)}" for name, output in wrong.items()]
    return found + [name for name, claim in trial.claims.items() if not claim.passed]


def _failed(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    return next((trial for trial in trials if trial.status is not TrialStatus.OK), None)


def _unjudged(failed: TrialRecord | None) -> Judged:
    why = failed.failure.message if failed is not None and failed.failure is not None else "nothing was measured"
    of = "the good commit beside it" if failed is not None and failed.arm is Program.BASE else "it"
    return Judged(Answer.SKIPPED, f"{of} cannot be judged: {why}")
