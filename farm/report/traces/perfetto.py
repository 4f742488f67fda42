"""Trials as one native Perfetto trace: stages and cores as tracks, tasks as slices, what waits for what as flows.

Written with the schema of the PyPI package `perfetto`. Every trial starts at 0, so that two can be compared; time is
in ns, as the format has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema

from farm.text import counting_order, one_line
from jobs.records import TaskRecord, TrialRecord

_SEQUENCE = 1  # one writer, whose packets may lean on each other
_NS = 1000  # in a µs
_COUNTERS = {"busy cubes": "AIC", "busy vectors": "AIV"}


@dataclass(frozen=True, slots=True)
class Traced:
    """One trial of the trace, and what its group of tracks is called."""

    name: str
    trial: TrialRecord


@dataclass(frozen=True, slots=True)
class _Span:
    """One task on its track."""

    task: TaskRecord
    track: int
    start_ns: int
    end_ns: int


def perfetto_trace(traced: Sequence[Traced]) -> bytes:
    """The trace of trials that have tasks, each in a group of tracks of its own."""
    trace = schema.Trace()
    uuids, flows = count(1), count(1)
    events: list[tuple[int, schema.TrackEvent]] = []
    for rank, each in enumerate(traced):
        events += _trial(trace, each, rank, uuids, flows)
    events.sort(key=lambda event: event[0])  # stable: an end stays before the next beginning on its track
    for number, (at_ns, event) in enumerate(events):
        packet = trace.packet.add(timestamp=at_ns, trusted_packet_sequence_id=_SEQUENCE)
        packet.track_event.CopyFrom(event)
        if number == 0:
            packet.sequence_flags = schema.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    content: bytes = trace.SerializeToString()
    return content


def _trial(
    trace: schema.Trace, traced: Traced, rank: int, uuids: Iterator[int], flows: Iterator[int]
) -> list[tuple[int, schema.TrackEvent]]:
    tasks = list(traced.trial.tasks)
    first_us = min(task.start_us for task in tasks)
    top = _track(trace, uuids, traced.name, 0, rank)
    events: list[tuple[int, schema.TrackEvent]] = []
    for place, (name, kind) in enumerate(_COUNTERS.items()):
        events += _counter(_track(trace, uuids, name, top, place, counts=True), kind, tasks, first_us)
    stages = _track(trace, uuids, "stages", top, len(_COUNTERS))
    for place, (stage, start_ns, end_ns) in enumerate(_stages(tasks, first_us)):
        lane = _track(trace, uuids, stage, stages, place)
        events += _slice(lane, stage, start_ns, end_ns)
    cores = _track(trace, uuids, "cores", top, len(_COUNTERS) + 1)
    spans = _spans(trace, uuids, cores, tasks, first_us)
    return events + _tasks(spans, flows)


def _track(trace: schema.Trace, uuids: Iterator[int], name: str, parent: int, rank: int, counts: bool = False) -> int:
    packet = trace.packet.add(trusted_packet_sequence_id=_SEQUENCE)
    found = packet.track_descriptor
    found.uuid, found.name, found.sibling_order_rank = next(uuids), one_line(name), rank
    found.child_ordering = schema.TrackDescriptor.EXPLICIT
    if parent:
        found.parent_uuid = parent
    if counts:
        found.counter.unit_name = "cores"
    return int(found.uuid)


def _spans(
    trace: schema.Trace, uuids: Iterator[int], parent: int, tasks: Sequence[TaskRecord], first_us: float
) -> list[_Span]:
    """Every task on a track of its core; a second track takes what overlaps, for slices of one track must nest."""
    by_core: dict[str, list[TaskRecord]] = defaultdict(list)
    for task in tasks:
        by_core[task.core].append(task)
    found = []
    ranks = count()
    for core in sorted(by_core, key=counting_order):
        free_ns: dict[int, int] = {}  # track → when its last task has ended
        for task in sorted(by_core[core], key=lambda task: (task.start_us, task.duration_us)):
            start_ns, end_ns = _ns(task, first_us)
            track = next((track for track, free in free_ns.items() if free <= start_ns), 0)
            track = track or _track(trace, uuids, core, parent, next(ranks))
            free_ns[track] = end_ns
            found.append(_Span(task, track, start_ns, end_ns))
    return found


def _tasks(spans: Sequence[_Span], flows: Iterator[int]) -> list[tuple[int, schema.TrackEvent]]:
    starts: dict[str, list[int]] = defaultdict(list)  # name of a task → flows that leave it
    ends: dict[int, list[int]] = {}  # number of a span → flows that arrive there
    known = {span.task.name for span in spans}
    for number, span in enumerate(spans):
        ends[number] = []
        for name in span.task.after:
            if name in known:
                flow = next(flows)
                starts[name].append(flow)
                ends[number].append(flow)
    events = []
    for number, span in enumerate(spans):
        begin, end = _slice(span.track, span.task.stage or span.task.name, span.start_ns, span.end_ns)
        begin[1].categories.append(one_line(span.task.stage) or "unnamed")
        begin[1].flow_ids.extend(starts.pop(span.task.name, []))
        begin[1].terminating_flow_ids.extend(ends[number])
        for key, value in (("task", span.task.name), ("stage", span.task.stage), ("core", span.task.core)):
            begin[1].debug_annotations.add(name=key, string_value=one_line(value))
        events += [begin, end]
    return events


def _stages(tasks: Sequence[TaskRecord], first_us: float) -> list[tuple[str, int, int]]:
    """Each stage's name and span in ns, in the order they begin."""
    found: dict[str, tuple[int, int]] = {}
    for task in tasks:
        start, end = _ns(task, first_us)
        low, high = found.get(task.stage, (start, end))
        found[task.stage] = min(low, start), max(high, end)
    return sorted(((stage or "unnamed", *span) for stage, span in found.items()), key=lambda each: (each[1], each[0]))


def _counter(
    track: int, kind: str, tasks: Sequence[TaskRecord], first_us: float
) -> list[tuple[int, schema.TrackEvent]]:
    """How many cores of `kind` work, at every moment that changes."""
    changes: dict[int, int] = defaultdict(int)
    changes[0] = 0
    for task in tasks:
        if task.core.startswith(kind):
            start_ns, end_ns = _ns(task, first_us)
            changes[start_ns] += 1
            changes[end_ns] -= 1
    busy, events = 0, []
    for at_ns in sorted(changes):
        busy += changes[at_ns]
        event = schema.TrackEvent(type=schema.TrackEvent.TYPE_COUNTER, track_uuid=track, counter_value=busy)
        events.append((at_ns, event))
    return events


def _slice(track: int, name: str, start_ns: int, end_ns: int) -> list[tuple[int, schema.TrackEvent]]:
    begin = schema.TrackEvent(type=schema.TrackEvent.TYPE_SLICE_BEGIN, track_uuid=track, name=one_line(name))
    return [(start_ns, begin), (end_ns, schema.TrackEvent(type=schema.TrackEvent.TYPE_SLICE_END, track_uuid=track))]


def _ns(task: TaskRecord, first_us: float) -> tuple[int, int]:
    start_us = task.start_us - first_us
    return round(start_us * _NS), round((start_us + task.duration_us) * _NS)
