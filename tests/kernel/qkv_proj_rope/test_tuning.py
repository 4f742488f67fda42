"""Tunings: defaults, overrides, and every guard refusing what it must, before anything is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import GuardError, TuningError, UnknownNameError
from kernel.qkv_proj_rope import KERNEL
from kernel.qkv_proj_rope.shapes import shape_of
from kernel.qkv_proj_rope.tuning import ProjectionTuning

CASES = list(KERNEL.cases)


@pytest.mark.parametrize("case", CASES)
def test_the_defaults_of_every_case_pass_every_guard(case: str) -> None:
    assert KERNEL.tuning(case, {}).as_dict()


def test_overrides_are_read_by_the_type_of_their_knob() -> None:
    tuning = KERNEL.tuning("flash-s2", {"split_k": "2", "fold_amax": "off", "q_staging": "int32"})
    record = tuning.as_dict()
    assert (record["split_k"], record["fold_amax"], record["q_staging"]) == (2, False, "int32")


def test_tunings_are_values() -> None:
    assert KERNEL.tuning("flash-s2", {}) == KERNEL.tuning("flash-s2", {})
    assert len({ProjectionTuning(), ProjectionTuning(split_k=2)}) == 2


def test_an_unknown_key_names_the_known_ones() -> None:
    with pytest.raises(TuningError) as caught:
        KERNEL.tuning("tiny", {"speed": "11"})
    assert "'speed'" in str(caught.value)
    assert all(field.name in str(caught.value) for field in fields(ProjectionTuning))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("split_k", "four"),
        ("split_k", "4.0"),
        ("split_k", ""),
        ("split_k", "0"),
        ("split_k", "-4"),
        ("fold_amax", "maybe"),
        ("q_staging", "bf16"),
        ("l1_reuse", "0"),
        ("q_proj_merge", "-1:1,1:6"),
        ("q_proj_merge", "0"),
    ],
)
def test_an_unreadable_value_is_refused(key: str, text: str) -> None:
    with pytest.raises(TuningError, match=key):
        KERNEL.tuning("flash-s2", {key: text})


@pytest.mark.parametrize(
    ("case", "overrides", "whole", "part"),
    [
        ("flash-s2", {"attn_norm_partials": "3"}, 4096, 3),
        ("flash-s2", {"qr_norm_partials": "3"}, 1024, 3),
        ("flash-s2", {"split_k": "3"}, 4096, 3),
        ("flash-s2", {"kv_split_k": "7"}, 4096, 7),
        ("flash-s2", {"split_k": "16"}, 256, 64 * 8 * 2),
        ("flash-s2", {"proj_n_tile": "192"}, 1024, 192),
        ("flash-s2", {"kv_n_tile": "192"}, 512, 192),
        ("flash-s2", {"q_proj_k_tile": "768"}, 1024, 768),
        ("flash-s2", {"q_proj_k_tile": "512", "q_proj_k_l0": "384"}, 512, 384),
        ("flash-s2", {"head_group": "5"}, 64, 5),
        ("flash-s2", {"head_rows": "48"}, 128, 48),
        ("flash-s2", {"head_tile_rows": "24"}, 64, 24),
        ("flash-s2", {"head_load_tiles": "3"}, 64, 48),
        ("flash-s2", {"proj_x_span": "3"}, 1024, 64 * 8 * 3),
        ("flash-s2", {"split_k": "1", "kv_split_k": "1", "proj_x_span": "4"}, 64 * 8 * (4 * 128 + 256) * 2, 512 * 1024),
        ("flash-s2", {"q_proj_n_tile": "512"}, 256 * 512, 64 * 1024),
        ("flash-s2", {"proj_k_stages": "16", "proj_x_span": "1"}, 64 * 16 * (128 + 256) * 2, 512 * 1024),
        ("flash-s2", {"attn_norm_rows": "8"}, 2 * 8 * 4096 * 4, 192 * 1024),
        ("flash-s2", {"qr_norm_rows": "16"}, 5 * 16 * 1024 * 4, 192 * 1024),
        (
            "flash-s2",
            {"head_tile_rows": "32", "head_load_tiles": "1"},
            3 * 32 * 512 * 4 + 64 * 192 * 4,
            192 * 1024,
        ),
        (
            "flash-s2",
            {"q_staging": "int32", "head_load_tiles": "4"},
            3 * 16 * 512 * 4 + 32 * 512 * 4 + 64 * 192 * 4,
            192 * 1024,
        ),
        ("flash-s2", {"head_load_tiles": "4"}, 3 * 16 * 512 * 4 + 64 * 512 * 2 + 64 * 192 * 4, 192 * 1024),
        ("pro-s2", {"q_staging": "fp16"}, 96774, 65504),
    ],
)
def test_a_guard_names_both_numbers(case: str, overrides: Mapping[str, str], whole: int, part: int) -> None:
    with pytest.raises(GuardError) as caught:
        KERNEL.tuning(case, overrides)
    assert (caught.value.whole, caught.value.part) == (whole, part)
    assert re.search(rf"\b{whole}\b.*\b{part}\b", str(caught.value))


def test_building_checks_the_guards_again() -> None:
    with pytest.raises(GuardError):
        KERNEL.program("flash-s2", ProjectionTuning(split_k=3))


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="flash-s2"):
        KERNEL.tuning("nonsense", {})


@given(
    case=st.sampled_from(CASES),
    key=st.sampled_from(["head_group", "split_k", "attn_norm_partials"]),
    part=st.integers(1, 130),
)
def test_whatever_passes_the_guards_divides(case: str, key: str, part: int) -> None:
    shape = shape_of(case)
    whole = shape.h if key == "head_group" else shape.d
    try:
        record = KERNEL.tuning(case, {key: str(part)}).as_dict()
    except GuardError as error:
        assert error.whole > 0 and error.part > 0
        return
    assert record[key] == part
    assert whole % part == 0


@given(value=st.text(max_size=8), key=st.sampled_from([field.name for field in fields(ProjectionTuning)]))
def test_no_text_breaks_the_reader(value: str, key: str) -> None:
    try:
        KERNEL.tuning("tiny", {key: value})
    except TuningError as error:
        assert "\n" not in str(error)


def test_every_step_of_flash_s2_changes_the_tuning_when_it_is_taken_back() -> None:
    best = KERNEL.tuning("flash-s2", {})
    untuned = KERNEL.untuned("flash-s2")

    for step in KERNEL.steps("flash-s2"):
        without = KERNEL.tuning("flash-s2", {knob: untuned[knob] for knob in step.knobs})
        assert without != best, step.name
