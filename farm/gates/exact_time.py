"""One compiled program has one time on an exact clock, wherever and whenever it is measured.

A cost model gives the same program the same time in every process. Where two times of one fingerprint differ, one of
them is not the model's, and nothing that was measured says which. So no time of the case proves anything: the run is
errored, whatever the other gates make of those times. On a noisy clock there is nothing to hold a time to.

Compared are the times that the builds predict, those of all trials of both arms, and one of each program from the
store's history. A trial that names no program has that of its arm's build. The second draw of the inputs is left to
`farm.gates.control`, which compares it with the trials it controls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from farm.gates.protocol import Evidence, judge_cases
from farm.model.program_time import ProgramTime
from farm.model.run import Finding, GateRecord, GateStatus
from farm.stats.thresholds import RESOLUTION_US
from farm.text import microseconds
from jobs.records import Arm, BuildRecord, TrialRecord, TrialStatus
from kernel.clock import is_time

_UNNAMED = "the program of the "  # and the arm: stands for a fingerprint where neither build nor trial has one


@dataclass(frozen=True, slots=True)
class ExactTimeGate:
    """Holds every time of a program to every other one."""

    name = "clock"

    builds: tuple[BuildRecord, ...] = ()  # of the head
    base: tuple[TrialRecord, ...] = ()  # every attempt
    base_builds: tuple[BuildRecord, ...] = ()
    known: Mapping[str, Sequence[ProgramTime]] = field(default_factory=dict)  # case → what earlier runs measured
    unknown: str = ""  # why nobody can say what earlier runs measured; "" where `known` says it

    def judge(self, evidence: Evidence) -> GateRecord:
        """Errored where a program has two times, or its history cannot be read; else passed, or idle without times."""
        return judge_cases(self.name, evidence, self._judge_case)

    def _judge_case(self, case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
        times = [
            *_times(case, evidence.trials, self.builds, Arm.HEAD),
            *_times(case, self.base, self.base_builds, Arm.BASE),
        ]
        if not times:
            return GateStatus.NOT_APPLICABLE, [Finding(message="nothing has a time", case=case)]
        found = [describe(*pair) for pair in contradictions([*times, *self.known.get(case, ())])]
        if self.unknown:
            found.append(self.unknown)
        findings = [Finding(message=message, case=case) for message in found]
        return GateStatus.ERRORED if findings else GateStatus.PASSED, findings


def contradictions(times: Iterable[ProgramTime]) -> list[tuple[ProgramTime, ProgramTime]]:
    """Return the shortest and the longest time of each program that has two of them."""
    programs: dict[str, list[ProgramTime]] = defaultdict(list)
    for time in times:
        programs[time.program].append(time)
    pairs = [(min(each, key=_us), max(each, key=_us)) for each in programs.values()]
    return [(short, long) for short, long in pairs if long.us - short.us > RESOLUTION_US]


def describe(short: ProgramTime, long: ProgramTime) -> str:
    """Return one line on two times of one program."""
    named = short.program if short.program.startswith("the program of ") else f"program {short.program[:12]}"
    return (
        f"{named} took {microseconds(short.us)} µs ({short.where}) and {microseconds(long.us)} µs ({long.where}); "
        "one program has one time on an exact clock, so neither counts"
    )


def _times(case: str, trials: Iterable[TrialRecord], builds: Iterable[BuildRecord], arm: Arm) -> list[ProgramTime]:
    of_case = [build for build in builds if build.case == case and build.failure is None]
    built = next((build.fingerprint for build in of_case if build.fingerprint), f"{_UNNAMED}{arm.value}")
    found = [
        ProgramTime(built, build.predicted_us, f"{arm.value}, the build")
        for build in of_case
        if build.predicted_us is not None
    ]
    for trial in trials:
        us, ran = trial.wall_us, trial.status is TrialStatus.OK and trial.case == case
        if ran and us is not None and is_time(us):
            where = f"{arm.value}, {trial.device}, repeat {trial.repeat}"
            found.append(ProgramTime(trial.fingerprint or built, us, where))
    return found


def _us(time: ProgramTime) -> float:
    return time.us
