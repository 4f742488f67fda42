"""Who runs what on which devices, on a lease and trials in flight that exist on paper only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from farm.execution.in_flight import TrialOutcome
from farm.execution.observer import Observer
from farm.harness.executor import HarnessExecutor
from farm.harness.turns import Turn, Witnesses
from farm.leasing import preemption
from jobs.records import Arm, Failure, Fault, TrialRecord, TrialRequest
from kernel.harness.head import Head
from tests.farm.paper_lease import NoDeadlines, PaperLease, PaperTrials
from tests.farm.sweep_samples import fleet

HANG = Failure(fault=Fault.DEVICE, kind="hang", message="no end")
RAISED = Failure(fault=Fault.KERNEL, kind="kernel-raised", message="NameError")


def head(devices: int = 1) -> Head:
    return Head(runnable=True, devices=devices, skipped="", replays=True)


@dataclass
class SlowFile(PaperTrials):
    """As `PaperTrials`, but slow.py ends only at the third look after it is alone."""

    flown: list[tuple[str, int, str, dict[str, str]]] = field(default_factory=list)  # file, slot, repeat/attempt, knobs
    asked: list[TrialRequest] = field(default_factory=list)
    looks_alone: int = 0

    def start(self, slot: int, label: str, request: TrialRequest, repeat: int, attempt: int) -> None:
        self.asked.append(request)
        self.flown.append((request.case, slot, f"{repeat}/{attempt}", dict(request.tuning)))
        PaperTrials.start(self, slot, label, request, repeat, attempt)

    def poll(self) -> list[TrialOutcome]:
        quick = [(slot, flight) for slot, flight in self.flying if flight.request.case != "slow.py"]
        slow = [each for each in self.flying if each not in quick]
        if quick or not slow:
            self.flying = quick
            ended = PaperTrials.poll(self)
            self.flying = slow
            return ended
        self.looks_alone += 1
        return PaperTrials.poll(self) if self.looks_alone > 3 else []


def conducted(
    heads: dict[str, Head],
    *,
    count: int,
    repeats: int = 1,
    fails: dict[str, Failure] | None = None,
    freezes: str = "",
    others_wait: bool = False,
    taken: dict[str, frozenset[int]] | None = None,
    again: dict[str, set[str]] | None = None,
    witnesses: int = 0,
    based: dict[str, int] | None = None,
    more: range = range(0),
) -> tuple[HarnessExecutor, SlowFile, list[TrialRecord]]:
    """Run the files on `count` devices, two a node; with `others_wait` somebody who goes first comes meanwhile."""
    kept: list[TrialRecord] = []
    trials = SlowFile(
        PaperLease(fleet(count)),
        lambda device, asked, *_: (fails or {}).get(asked.case if asked.arm is Arm.HEAD else f"base {asked.case}"),
    )
    executor = HarnessExecutor(
        lease=trials.lease,
        in_flight=trials.paper,
        limits=NoDeadlines.paper(),
        observer=ComesLater(trials) if others_wait else Observer(),
        template=TrialRequest(kernel="k", case="", platform="x", input_set="own"),
        heads=heads,
        repeats=repeats,
        freezes=frozenset({freezes} - {""}),
        data=Path("/data"),
        save=kept.append,
        taken=taken or {},
        witnesses=Witnesses(witnesses, repeats // max(1, witnesses)),
        trees={Arm.HEAD: "head", Arm.BASE: "base"} if based else {},
        based=based or {},
    )
    executor.run()
    if more:
        executor.go_on(heads, more)
    if again:
        executor.look_again(again, range(repeats, 2 * repeats))
    return executor, trials, kept


class ComesLater(Observer):
    """Somebody who goes first comes with the first trial that ends."""

    def __init__(self, trials: PaperTrials) -> None:
        self._trials = trials
        self._came = False

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        if not self._came:
            self._trials.on.others_wait = self._came = True


def test_every_file_runs_as_often_as_asked_and_devices_work_side_by_side() -> None:
    _, in_flight, kept = conducted({f"{number}.py": head() for number in range(5)}, count=3, repeats=2)

    assert sorted((record.case, record.repeat) for record in kept) == [
        (f"{number}.py", repeat) for number in range(5) for repeat in range(2)
    ]
    assert in_flight.most == 3


def test_devices_are_given_up_at_a_trial_boundary_and_the_rest_runs_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preemption, "ASK_EVERY_S", 0.0)
    _, in_flight, kept = conducted({f"{number}.py": head() for number in range(5)}, count=2, others_wait=True)

    assert (in_flight.on.given_back, in_flight.on.given_back_with) == (1, 0)
    assert len(in_flight.flown) == len(kept) == 5


def test_nobody_is_waited_for_when_nothing_is_left_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preemption, "ASK_EVERY_S", 0.0)
    _, in_flight, kept = conducted({"one.py": head()}, count=1, others_wait=True)

    assert (in_flight.on.given_back, len(kept)) == (0, 1)


def test_a_file_that_takes_two_devices_gets_them_of_one_node() -> None:
    conductor, in_flight, kept = conducted({"two.py": head(2), "one.py": head()}, count=3, repeats=3)

    two = [(slot, knobs["beside"]) for file, slot, _, knobs in in_flight.flown if file == "two.py"]
    assert two == [(0, "1")] * 3
    assert [record.beside for record in kept if record.case == "two.py"] == [["node0/1"]] * 3
    assert not conductor.unreached


def test_a_file_that_fits_on_no_node_is_left_and_the_others_run() -> None:
    conductor, _, kept = conducted({"three.py": head(3), "one.py": head()}, count=4)

    assert conductor.unreached == ["three.py"]
    assert [record.case for record in kept] == ["one.py"]


def test_a_hang_is_tried_on_another_device_and_two_prove_it() -> None:
    conductor, in_flight, kept = conducted({"hangs.py": head(), "fine.py": head()}, count=2, fails={"hangs.py": HANG})

    tried = [slot for file, slot, _, _ in in_flight.flown if file == "hangs.py"]
    assert sorted(tried) == [0, 1]
    assert [failure.kind for failure in conductor.blames["hangs.py"].kernel] == ["hang"]
    assert not conductor.blames["fine.py"].kernel
    assert sorted(in_flight.on.renewed) == ["node0/0", "node0/1"]
    assert len(kept) == 3


def test_a_hang_waits_for_another_device_though_its_own_is_free_again() -> None:
    _, in_flight, _ = conducted({"hangs.py": head(), "slow.py": head()}, count=2, fails={"hangs.py": HANG})

    assert [slot for file, slot, _, _ in in_flight.flown if file == "hangs.py"] == [0, 1]


def test_on_a_single_device_a_hang_proves_nothing() -> None:
    conductor, in_flight, _ = conducted({"hangs.py": head()}, count=1, fails={"hangs.py": HANG})

    assert [attempt for _, _, attempt, _ in in_flight.flown] == ["0/0", "0/1"]
    assert conductor.blames["hangs.py"].kernel == []


def test_a_failure_of_the_file_itself_is_not_tried_again() -> None:
    _, in_flight, _ = conducted({"bad.py": head()}, count=1, repeats=3, fails={"bad.py": RAISED})

    assert [attempt for _, _, attempt, _ in in_flight.flown] == ["0/0"]


def test_the_first_trial_keeps_the_data_that_the_others_take() -> None:
    _, in_flight, _ = conducted({"steady.py": head()}, count=3, repeats=3, freezes="steady.py")

    knobs = [knobs for _, _, _, knobs in in_flight.flown]
    assert [sorted(each) for each in knobs] == [["beside", "save", "seed"], *[["beside", "replay", "seed"]] * 2]
    assert {each.get("save") or each.get("replay") for each in knobs} == {"/data/steady.py-a0"}


def test_files_whose_names_differ_in_a_slash_alone_have_directories_of_their_own() -> None:
    conductor, _, _ = conducted({"a/b.py": head(), "a-b.py": head(), "c.py": head()}, count=1)

    places = {file: conductor.data_of(Turn(file, 0)).name for file in ("a/b.py", "a-b.py", "c.py")}

    assert len(set(places.values())) == 3 and places["c.py"] == "c.py-a0"


def test_where_the_first_trial_is_lost_no_other_waits_for_its_data() -> None:
    _, in_flight, _ = conducted(
        {"steady.py": head()}, count=2, repeats=3, freezes="steady.py", fails={"steady.py": HANG}
    )

    assert [attempt for _, _, attempt, _ in in_flight.flown] == ["0/0", "0/1"]


def test_a_second_look_is_made_on_just_the_devices_that_are_asked() -> None:
    heads = {f"{number}.py": head() for number in range(4)}
    again = {"1.py": {"node0/1", "node1/0"}, "3.py": {"node0/0"}}
    _, _, kept = conducted(heads, count=4, repeats=2, again=again)

    more = [(record.case, record.device, record.repeat) for record in kept if record.repeat >= 2]
    assert sorted(more) == [
        ("1.py", "node0/1", 2),
        ("1.py", "node0/1", 3),
        ("1.py", "node1/0", 2),
        ("1.py", "node1/0", 3),
        ("3.py", "node0/0", 2),
        ("3.py", "node0/0", 3),
    ]
    assert len(kept) == 4 * 2 + len(more)


def test_a_second_look_on_a_device_that_has_gone_makes_nothing_up() -> None:
    executor, _, kept = conducted({"1.py": head()}, count=2, again={"1.py": {"node9/9"}})

    assert [record.repeat for record in kept] == [0]
    assert executor.unreached == ["1.py"]


def test_what_is_taken_over_is_not_made_again() -> None:
    heads = {"done.py": head(), "half.py": head(), "new.py": head(), "frozen.py": head()}
    taken = {"done.py": frozenset({0, 1}), "half.py": frozenset({1}), "frozen.py": frozenset({0, 1})}
    executor, _, kept = conducted(heads, count=2, repeats=2, taken=taken, freezes="frozen.py")

    made = sorted((record.case, record.repeat) for record in kept)
    assert made == [("half.py", 0), ("new.py", 0), ("new.py", 1)]
    assert executor.can_repeat("done.py")
    assert not executor.can_repeat("frozen.py"), "its operands were the interrupted run's"


def test_each_witness_of_a_file_makes_its_repeats_on_one_device_and_no_two_share_a_card() -> None:
    files = {f"{number}.py": head() for number in range(4)}
    _, _, kept = conducted(files, count=4, repeats=6, witnesses=2)

    for file in files:
        devices = {
            repeat: {each.device for each in kept if (each.case, each.repeat) == (file, repeat)} for repeat in range(6)
        }
        first, second = devices[0] | devices[1] | devices[2], devices[3] | devices[4] | devices[5]
        assert (len(first), len(second), first & second) == (1, 1, set())


def test_further_rounds_are_made_by_the_witnesses_of_the_first() -> None:
    _, _, kept = conducted({"a.py": head()}, count=3, repeats=6, witnesses=3, more=range(6, 12))

    by_device = {each.device: sorted(t.repeat for t in kept if t.device == each.device) for each in kept}
    assert sorted(by_device.values()) == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]


def test_the_base_is_measured_in_turn_on_the_device_of_the_head() -> None:
    _, _, kept = conducted({"a.py": head(), "b.py": head()}, count=2, repeats=4, based={"a.py": 4})

    arms = [(each.case, each.repeat, each.arm, each.device) for each in kept]
    assert sum(arm is Arm.BASE for _, _, arm, _ in arms) == 4
    assert {case for case, _, arm, _ in arms if arm is Arm.BASE} == {"a.py"}
    for repeat in range(4):
        pair = [(arm, device) for case, number, arm, device in arms if (case, number) == ("a.py", repeat)]
        assert len({device for _, device in pair}) == 1
        assert [arm for arm, _ in pair] == ([Arm.HEAD, Arm.BASE] if repeat % 2 == 0 else [Arm.BASE, Arm.HEAD])


def test_a_head_that_fails_is_followed_by_one_look_at_its_base_and_by_nothing_else() -> None:
    _, _, kept = conducted({"a.py": head()}, count=1, repeats=4, based={"a.py": 4}, fails={"a.py": RAISED})

    assert [(each.arm, each.repeat) for each in kept] == [(Arm.HEAD, 0), (Arm.BASE, 0)]


def test_a_base_that_follows_a_failed_head_has_no_operands_to_take(tmp_path: Path) -> None:
    _, trials, kept = conducted(
        {"a.py": head()}, count=1, repeats=2, based={"a.py": 2}, freezes="a.py", fails={"a.py": RAISED}
    )

    assert [(each.arm, each.repeat) for each in kept] == [(Arm.HEAD, 0), (Arm.BASE, 0)]
    assert not {"save", "replay"} & set(trials.asked[1].tuning)


def test_a_base_that_fails_by_its_own_fault_is_not_tried_again_and_the_head_goes_on() -> None:
    _, _, kept = conducted({"a.py": head()}, count=1, repeats=3, based={"a.py": 3}, fails={"base a.py": RAISED})

    assert [(each.arm, each.repeat) for each in kept] == [(Arm.HEAD, 0), (Arm.BASE, 0), (Arm.HEAD, 1), (Arm.HEAD, 2)]


def test_requests_name_the_tree_of_their_arm_and_the_base_takes_the_operands_of_the_head() -> None:
    _, trials, _ = conducted({"a.py": head()}, count=1, repeats=2, based={"a.py": 2}, freezes="a.py")

    asked = [(each.arm, each.tree, "save" if "save" in each.tuning else "replay") for each in trials.asked]
    assert asked == [
        (Arm.HEAD, "head", "save"),
        (Arm.BASE, "base", "replay"),
        (Arm.HEAD, "head", "replay"),
        (Arm.BASE, "base", "replay"),
    ]
