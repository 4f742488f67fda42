"""`farm trace`: the native trace read back with Perfetto's own schema, and held to the trial's task table."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema

from farm.cli.perfetto_ui import UI, NotFetchedError, hand_over
from farm.cli.trace import command
from farm.errors import InfrastructureError
from farm.report.json_report import JsonReport
from farm.report.traces.perfetto import Traced, perfetto_trace
from jobs.records import TaskRecord
from kernel.clock import Clock
from tests.farm import planted, samples


@dataclass
class Slice:
    name: str
    track: int
    start_ns: int
    depth: int
    said: dict[str, str]
    leaves: list[int]  # flows that begin here
    arrives: list[int]
    end_ns: int = -1


@dataclass
class Read:
    """A trace as Perfetto's importer sees it."""

    tracks: dict[int, Any] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    counters: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def __init__(self, content: bytes) -> None:
        self.tracks, self.slices, self.counters = {}, [], defaultdict(list)
        trace = schema.Trace()
        trace.ParseFromString(content)
        open_slices: dict[int, list[Slice]] = defaultdict(list)
        last_ns = 0
        for packet in trace.packet:
            if packet.HasField("track_descriptor"):
                assert packet.track_descriptor.uuid not in self.tracks
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
                continue
            assert packet.timestamp >= last_ns, "events are in time order"
            last_ns = packet.timestamp
            event = packet.track_event
            assert event.track_uuid in self.tracks, "a track is described before it is used"
            if event.type == schema.TrackEvent.TYPE_COUNTER:
                self.counters[event.track_uuid].append((packet.timestamp, event.counter_value))
            elif event.type == schema.TrackEvent.TYPE_SLICE_BEGIN:
                stack = open_slices[event.track_uuid]
                said = {note.name: note.string_value for note in event.debug_annotations}
                begun = Slice(
                    event.name, event.track_uuid, packet.timestamp, len(stack), said,
                    list(event.flow_ids), list(event.terminating_flow_ids),
                )  # fmt: skip
                self.slices.append(begun)
                stack.append(begun)
            else:
                open_slices[event.track_uuid].pop().end_ns = packet.timestamp
        assert not any(open_slices.values()), "every slice ends"

    def path(self, track: int) -> list[str]:
        """The names of a track and of those it lies under, outermost first."""
        found = self.tracks[track]
        return [*(self.path(found.parent_uuid) if found.parent_uuid else []), found.name]

    def tasks(self, group: str) -> dict[str, Slice]:
        """Name of a task → its slice, below the group `group`."""
        return {
            each.said["task"]: each
            for each in self.slices
            if self.path(each.track)[:2] == [group, "cores"] and "task" in each.said
        }


def traced(tasks: list[TaskRecord], name: str = "one") -> Traced:
    return Traced(name, samples.trial("n/0", tasks=tasks))


TASKS = planted.tasks()


def test_stages_and_cores_are_tracks_below_the_trial() -> None:
    found = Read(perfetto_trace([traced(TASKS)]))

    assert {tuple(found.path(track)) for track in found.tracks} == {
        ("one",),
        ("one", "busy cubes"),
        ("one", "busy vectors"),
        ("one", "stages"),
        *(("one", "stages", stage) for stage in ("attn-norm", "kv-cache", "q-proj", "rope")),
        ("one", "cores"),
        *(("one", "cores", core) for core in ("AIC_0", "AIV_0", "AIV_1")),
    }


def test_every_task_is_one_slice_with_its_times_its_core_and_its_stage() -> None:
    found = Read(perfetto_trace([traced(TASKS)])).tasks("one")

    assert set(found) == {task.name for task in TASKS}
    for task in TASKS:
        drawn = found[task.name]
        assert (drawn.start_ns, drawn.end_ns) == (task.start_us * 1000, (task.start_us + task.duration_us) * 1000)
        assert (drawn.said["core"], drawn.said["stage"], drawn.name, drawn.depth) == (
            task.core,
            task.stage,
            task.stage,
            0,
        )


def test_a_flow_leads_from_each_task_to_every_one_that_waits_for_it() -> None:
    found = Read(perfetto_trace([traced(TASKS)])).tasks("one")

    leaves = {flow: name for name, each in found.items() for flow in each.leaves}
    arrows = {(leaves[flow], name) for name, each in found.items() for flow in each.arrives}
    assert arrows == {(before, task.name) for task in TASKS for before in task.after}
    assert sum(len(each.arrives) for each in found.values()) == len(leaves) == 3


def test_the_counters_say_how_many_cores_work() -> None:
    found = Read(perfetto_trace([traced(TASKS)]))
    named = {found.tracks[track].name: values for track, values in found.counters.items()}

    assert named["busy cubes"] == [(0, 0), (5500, 1), (36000, 0)]
    assert named["busy vectors"] == [(0, 2), (5000, 1), (8000, 0), (36000, 1), (47000, 0)]


def test_two_trials_stand_side_by_side_each_from_its_own_beginning() -> None:
    late = [task.model_copy(update={"start_us": task.start_us + 1000}) for task in planted.tasks(80.0)]
    found = Read(perfetto_trace([traced(TASKS, "head"), traced(late, "base")]))

    assert found.tasks("head")["mm"].end_ns == 36_000
    assert found.tasks("base")["mm"].end_ns == 85_500
    flows = [flow for each in found.slices for flow in each.leaves]
    assert len(flows) == len(set(flows)) == 6, "no arrow crosses from one trial to the other"


durations = st.floats(0, 20).map(lambda us: round(us, 6))


@given(
    st.lists(
        st.tuples(st.integers(0, 3), durations, durations, st.sampled_from(["a", "b", ""])), min_size=1, max_size=30
    )
)
def test_any_profile_reads_back_with_the_totals_of_its_task_table(drawn: list[tuple[int, float, float, str]]) -> None:
    tasks = [
        TaskRecord(name=str(number), stage=stage, core=f"AIV_{core}", start_us=start, duration_us=length)
        for number, (core, start, length, stage) in enumerate(drawn)
    ]
    found = Read(perfetto_trace([traced(tasks)]))

    by_stage: dict[str, int] = defaultdict(int)
    on_track: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for each in found.tasks("one").values():
        by_stage[each.said["stage"]] += each.end_ns - each.start_ns
        on_track[each.track].append((each.start_ns, each.end_ns))
        assert found.tracks[each.track].name == each.said["core"]
    for stage in {task.stage for task in tasks}:
        of_stage = [task.duration_us for task in tasks if task.stage == stage]
        assert by_stage[stage] == pytest.approx(1000 * sum(of_stage), abs=2 * len(of_stage)), "within rounding to ns"
    for spans in on_track.values():
        ordered = sorted(spans)
        assert all(end <= start for (_, end), (start, _) in pairwise(ordered)), "none overlap"
    for values in found.counters.values():
        assert values[-1][1] == 0


def test_no_name_breaks_the_format() -> None:
    hostile = "\ud800\x00<script>\n" * 100
    task = TASKS[0].model_copy(update={"name": hostile, "stage": hostile, "core": hostile})

    found = Read(perfetto_trace([traced([task], hostile)]))

    assert len(found.slices) == 2


# The command


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    measured = planted.passed().model_copy(update={"clock": Clock.MEASURED})
    for name, record in (("head", planted.slow_stage()), ("base", planted.passed()), ("npu", measured)):
        (tmp_path / f"{name}.json").write_text(JsonReport().write(record), encoding="utf-8")
    yield


def trace(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def test_without_more_it_is_the_median_trial_of_each_case(runs: None) -> None:
    result = trace("head.json")

    assert (result.exit_code, result.stdout) == (0, "20261123-160000-ab99ff.pftrace\n")
    found = Read(Path("20261123-160000-ab99ff.pftrace").read_bytes())
    (top,) = [track.name for track in found.tracks.values() if not track.parent_uuid]
    assert top == "flash-s2 on 10.0.0.1/1, repeat 1, run 20261123-160000-ab99ff (simulated time)"


def test_device_and_repeat_choose_other_trials(runs: None) -> None:
    assert trace("head.json", "--device", "10.0.0.1/2", "--out", "a/b.pftrace").exit_code == 0

    tops = [track.name for track in Read(Path("a/b.pftrace").read_bytes()).tracks.values() if not track.parent_uuid]
    assert [top[:33] for top in tops] == [f"flash-s2 on 10.0.0.1/2, repeat {repeat}," for repeat in range(3)]


def test_against_puts_two_runs_into_one_trace(runs: None) -> None:
    assert trace("head.json", "--against", "base.json", "--out", "both").exit_code == 0

    found = Read(Path("both").read_bytes())
    totals = {}
    for track in found.tracks.values():
        if not track.parent_uuid:
            totals[track.name.partition("run ")[2]] = found.tasks(track.name)["mm"].end_ns
    assert totals == {
        "20261123-160000-ab99ff (simulated time)": 85_500,
        "20261123-140000-ab12cd (simulated time)": 36_000,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--case", "other"), "has no case 'other'; it has flash-s2"),
        (("--device", "n/9"), "no such trial with a profile; it has 10.0.0.1/0 repeat 0, "),
        (("--repeat", "7"), "no such trial with a profile"),
        (("--against", "npu.json"), "different yardsticks"),
        (("--against", "nothing.json"), "there is no report.json at nothing.json"),
    ],
)
def test_every_mistake_is_told_with_what_there_is(runs: None, arguments: tuple[str, ...], said: str) -> None:
    result = trace("head.json", *arguments)

    assert said in str(result.exception)
    assert not list(Path().glob("*.pftrace"))


# Handing over to Perfetto's page


class Page:
    """Stands in for the browser: opens what it is told to, in a thread of its own."""

    def __init__(self, *requests: tuple[str, str]) -> None:
        self.requests = requests
        self.opened = ""
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    def __call__(self, url: str) -> bool:
        self.opened = url
        self.thread = threading.Thread(target=self._fetch, args=(url.partition("url=")[2],))
        self.thread.start()
        return True

    def _fetch(self, address: str) -> None:
        for method, suffix in self.requests:
            request = urllib.request.Request(address + suffix, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.answers.append((answer.status, dict(answer.headers), answer.read()))
            except urllib.error.HTTPError as error:
                self.answers.append((error.code, dict(error.headers), b""))


def test_the_page_gets_that_one_file_from_the_loopback_interface(tmp_path: Path) -> None:
    path = tmp_path / "a trace.pftrace"
    path.write_bytes(b"content")
    page = Page(("GET", "/../../etc/passwd"), ("OPTIONS", ""), ("GET", ""))

    hand_over(path, 60, page, port=0)

    page.thread.join(30)
    assert page.opened.startswith(f"{UI}/#!/?url=http://127.0.0.1:")
    assert [status for status, *_ in page.answers] == [404, 204, 200]
    for _, headers, _ in page.answers[1:]:
        assert headers["Access-Control-Allow-Origin"] == UI
    assert page.answers[-1][2] == b"content"


def test_without_a_browser_or_a_visit_it_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "x.pftrace"
    path.touch()

    with pytest.raises(NotFetchedError, match=f"no browser was found; open {UI} yourself and drop {path} on it"):
        hand_over(path, 60, lambda url: False, port=0)
    with pytest.raises(NotFetchedError, match="did not come for the trace within 0 s"):
        hand_over(path, 0.2, lambda url: True, port=0)


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InfrastructureError, match="is taken"):
        hand_over(tmp_path / "x", 1, lambda url: True, port=taken.getsockname()[1])
