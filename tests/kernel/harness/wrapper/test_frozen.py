"""Inputs of a foreign program, kept by its first run and given to every later one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.records import TrialStatus
from kernel.harness.wrapper.frozen import Frozen, NotFrozenError
from kernel.harness.wrapper.tensors import described, named, raw
from tests.fakes.tensor_suite import STEADY, profile, suite, trial

RACING = STEADY.replace("2 * x", "2 * x + __import__('numpy').random.default_rng().random(64)")
PLENTY = 1 << 30


def frozen(place: Path, *, save: str = "", feed: str = "", most_bytes: int = PLENTY, process: str = "1") -> Frozen:
    return Frozen(save, feed, most_bytes, place / f"frozen-by-{process}")


def test_every_run_gets_the_inputs_of_the_first_and_only_a_race_differs(tmp_path: Path) -> None:
    root, data = suite(tmp_path / "repo", steady=STEADY, racing=RACING), tmp_path / "data"

    first = trial(root, "steady", tmp_path / "1", save=str(data))
    second = trial(root, "steady", tmp_path / "2", replay=str(data))
    racing = trial(root, "racing", tmp_path / "3", replay=str(data))
    fresh = trial(root, "steady", tmp_path / "4")

    assert [each.undigested for each in (first, second, racing, fresh)] == [""] * 4
    bits = [{name: claim.sha256 for name, claim in each.claims.items()} for each in (first, second, racing, fresh)]
    assert bits[0] == bits[1]
    assert (bits[2]["z"], bits[2]["y"] == bits[0]["y"]) == (bits[0]["z"], False)
    assert bits[3]["z"] != bits[0]["z"]


def test_inputs_that_cannot_be_frozen_give_no_digests_and_the_run_stands(tmp_path: Path) -> None:
    elsewhere = profile(("golden.spec:Spec.create", "golden.spec:Spec.make"))
    root, data = suite(tmp_path / "repo", steady=STEADY), tmp_path / "data"

    first = trial(root, "steady", tmp_path / "1", elsewhere, save=str(data))
    second = trial(root, "steady", tmp_path / "2", replay=str(data))

    assert (first.status, second.status) == (TrialStatus.OK, TrialStatus.OK)
    assert first.undigested.startswith("golden.spec:Spec.make cannot be wrapped: ")
    assert second.undigested == "the inputs of golden.spec:Spec.create are not frozen: the first run has kept none"


def test_a_run_that_asks_for_fewer_inputs_has_not_taken_them_all(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    keeping = frozen(tmp_path, save=data)
    keeping.take(lambda: [torch.zeros(3), np.ones(2), 7])
    later = frozen(tmp_path, feed=data, process="2")

    later.take(lambda: torch.ones(3))

    assert (keeping.rest(), later.rest()) == ("", "only 1 of 2 were asked for")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.int8, torch.bool, torch.complex64])
def test_a_tensor_is_filled_in_place_bit_by_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    kept = (torch.arange(12).reshape(3, 4) % 2).to(dtype)
    frozen(tmp_path, save=str(tmp_path / "data")).take(lambda: {"x": kept, "none": torch.zeros(0)})
    whole = torch.ones(4, 3).to(dtype)
    given = whole.t()  # not contiguous

    frozen(tmp_path, feed=str(tmp_path / "data"), process="2").take(lambda: {"x": given, "none": torch.zeros(0)})

    assert torch.equal(whole.t(), kept)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.zeros(4), r"tensor 0 is \['float32', \[4\]\], in the first run it was \['float32', \[3\]\]"),
        (np.zeros(3), r"tensor 0 is \['float64', \[3\]\]"),
        ([torch.zeros(3), torch.zeros(3)], "the first run had 1 tensors, this one has more"),
    ],
)
def test_other_inputs_than_the_first_runs_are_not_frozen(value: object, told: str, tmp_path: Path) -> None:
    frozen(tmp_path, save=str(tmp_path / "data")).take(lambda: torch.zeros(3))
    later = frozen(tmp_path, feed=str(tmp_path / "data"), process="2")

    with pytest.raises(NotFrozenError, match=told):
        later.take(lambda: value)
    later.take(lambda: torch.zeros(3))
    assert later.rest() == "", "it has said so once"


def test_inputs_beyond_the_bound_are_not_kept(tmp_path: Path) -> None:
    keeping = frozen(tmp_path, save=str(tmp_path / "data"), most_bytes=1 << 20)

    with pytest.raises(NotFrozenError, match="they are larger than 1 MB"):
        keeping.take(lambda: [torch.zeros(10), torch.zeros(1 << 19)])

    assert (tmp_path / "data" / "tensors.bin").stat().st_size == 0


def test_one_process_alone_has_inputs(tmp_path: Path) -> None:
    frozen(tmp_path, save=str(tmp_path / "data")).take(lambda: torch.zeros(3))
    (tmp_path / "frozen-by-1").write_text("0")

    with pytest.raises(NotFrozenError, match="it was called in several processes"):
        frozen(tmp_path, save=str(tmp_path / "data")).take(lambda: torch.zeros(3))


def test_zero_below_zero_and_the_payload_of_a_nan_count() -> None:
    zeros = {described(torch.tensor(value))["sha256"] for value in (0.0, -0.0)}
    nans = {
        described(np.array([bits], dtype=np.uint32).view(np.float32))["sha256"] for bits in (0x7FC00000, 0x7FC00001)
    }

    assert (len(zeros), len(nans)) == (2, 2)


def test_tensors_have_the_names_of_what_holds_them() -> None:
    value = {"a": torch.zeros(1), "b": [1, {"c": None}]}

    assert [name for name, _ in named("outputs", value)] == ["a", "b.0", "b.1.c"]
    assert [name for name, _ in named("out", torch.zeros(1))] == ["out"]


def test_a_list_that_holds_itself_and_an_array_of_objects_are_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(ValueError, match="is nested too deeply"):
        list(named("x", endless))
    with pytest.raises(TypeError, match="an array of Python objects has no bits"):
        raw(np.array([object()]))
