"""Devices whose time is apart from that of the others. Pure.

On a simulated clock the same program takes the same time everywhere, so any difference is a finding, between two trials
of one device and from an earlier run too. On a measured one
a device's median is compared with the medians of the other devices: it is slow where it lies further above their median
than their own scatter explains. The scatter is the median absolute deviation × 1.4826, which for normal noise is the
standard deviation and which one or two odd devices cannot move (Rousseeuw and Croux, JASA 88, 1993).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from farm.gates.exact_time import contradictions, describe
from farm.model.program_time import ProgramTime
from farm.model.sweep import Cell, FindingPlace, Kind, SweepFinding
from farm.stats.robust import median, median_absolute_deviation
from farm.stats.thresholds import MIN_SHARE, RESOLUTION_US

MAD_TO_SIGMA = 1.4826
# Of a thousand healthy devices and normal noise one in a thousand nights names one by mistake; and a median of six
# samples is not quite normal.
MAX_SIGMAS = 5.0
MIN_OTHERS_NOISY = 3  # the scatter of fewer is no scatter
MIN_OTHERS_EXACT = 2  # of two devices with two times neither is the odd one


def medians(cells: Iterable[Cell]) -> dict[str, dict[str, float]]:
    """Case → device → median of its measured wall times, µs."""
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        if cell.failure is None and cell.repeat >= 0 and cell.wall_us is not None:
            samples[cell.case][cell.device].append(cell.wall_us)
    return {case: {device: median(us) for device, us in of_case.items()} for case, of_case in samples.items()}


def odd_times(median_us: Mapping[str, Mapping[str, float]], noisy: bool) -> list[SweepFinding]:
    """A finding for each device that is slow in any case; on an exact clock also for one that is fast."""
    odd: dict[str, list[tuple[str, float, float]]] = defaultdict(list)  # device → (case, µs, centre of the others)
    for case, per_device in median_us.items():
        for device, us in per_device.items():
            others = [other for name, other in per_device.items() if name != device]
            if _slow(us, others) if noisy else _different(us, others):
                odd[device].append((case, us, median(others)))
    return [
        SweepFinding(
            kind=Kind.ODD_TIME,
            message="; ".join(f"{case}: median {us:.2f} µs, the others' {centre:.2f} µs" for case, us, centre in cases),
            devices=[device],
            places=[FindingPlace(case=case) for case, _, _ in cases],
        )
        for device, cases in odd.items()
    ]


def contradictory_times(
    cells: Iterable[Cell], known: Mapping[str, Sequence[ProgramTime]], named: Collection[str]
) -> list[SweepFinding]:
    """A finding for each program of an exact clock that has two times, and that `odd_times` names no device for.

    Args:
        cells: Every cell of the sweep.
        known: Case → what earlier runs measured of its programs.
        named: Cases in which a device is known to be the odd one.
    """
    times: dict[str, list[ProgramTime]] = defaultdict(list)
    for cell in cells:
        if cell.failure is None and cell.repeat >= 0 and cell.wall_us is not None and cell.case not in named:
            program = cell.fingerprint or f"the program of {cell.case}"
            times[cell.case].append(ProgramTime(program, cell.wall_us, cell.device))
    return [
        SweepFinding(
            kind=Kind.ODD_TIME,
            message=f"{case}: {describe(*pair)}",
            devices=sorted({each.where for each in pair if each in of_case}),
            places=[FindingPlace(case=case)],
        )
        for case, of_case in times.items()
        for pair in contradictions([*of_case, *known.get(case, ())])
    ]


def _different(us: float, others: list[float]) -> bool:
    """Whether an exact time differs from what most of the others took."""
    if len(others) < MIN_OTHERS_EXACT:
        return False
    return us < statistics.median_low(others) - RESOLUTION_US or us > statistics.median_high(others) + RESOLUTION_US


def _slow(us: float, others: list[float]) -> bool:
    """Whether a measured time lies above those of the others by more than their scatter."""
    if len(others) < MIN_OTHERS_NOISY:
        return False
    centre, scatter = median(others), MAD_TO_SIGMA * median_absolute_deviation(others)
    return us - centre > max(MAX_SIGMAS * scatter, MIN_SHARE * centre)
