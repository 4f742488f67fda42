"""The program's operands, and the tiny case compiled and computed with PyPTO."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from kernel.platforms.a2a3sim import A2A3Sim
from kernel.qkv_proj_rope import KERNEL

SWITCHES = [
    {"attn_norm_partials": "1"},  # S
    {"fold_amax": "off"},  # T
    {"qr_norm_partials": "1"},  # U
    {"q_proj_k_tile": "128", "q_proj_k_l0": "128"},  # V
    {"proj_k_stages": "1"},  # X
    {"q_staging": "int32"},
    {"head_group": "2"},
    {"head_merge": "2"},
    {"head_tile_rows": "8"},
    {"head_tile_rows": "8", "head_load_tiles": "1"},
    {"proj_x_span": "2", "proj_k_stages": "1"},
    {"q_proj_merge": "2"},
    {"join_part_loads": "off"},
    {"join_row_loads": "off", "head_tile_rows": "8"},
    {"join_scale_loads": "off", "head_merge": "2"},
    {"implicit_broadcast": "off"},
    {"rope_gather": "off"},
]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> A2A3Sim:
    platform = A2A3Sim()
    platform.prepare(tmp_path_factory.mktemp("cache"))
    return platform


@pytest.mark.sim
def test_arguments_cover_every_operand_in_the_operator_s_order() -> None:
    program = KERNEL.program("tiny", KERNEL.tuning("tiny", {}))
    specs = (*KERNEL.input_specs("tiny"), *KERNEL.output_specs("tiny"))
    assert [argument.name for argument in program.arguments] == [spec.name for spec in specs]
    for argument, spec in zip(program.arguments, specs, strict=True):
        assert math.prod(argument.shape) == math.prod(spec.shape)
    assert {argument.name for argument in program.arguments if argument.nz} == {"wq_a", "wq_b", "wkv"}
    assert [argument.name for argument in program.arguments if argument.output] == ["q", "kv", "qr", "qr_scale"]


@pytest.mark.sim
def test_every_switch_changes_the_compiled_program(platform: A2A3Sim, tmp_path: Path) -> None:
    prints = {}
    for index, overrides in enumerate([{}, *SWITCHES]):
        built = platform.build(KERNEL, "tiny", KERNEL.tuning("tiny", overrides), tmp_path / str(index))
        prints[built.fingerprint] = overrides
    assert len(prints) == len(SWITCHES) + 1


@pytest.mark.sim
@pytest.mark.parametrize(
    "projections",
    [
        {},
        {"kv_n_tile": "128"},
        {"split_k": "2", "kv_split_k": "1"},
        {"split_k": "1", "kv_split_k": "2"},
    ],
)
def test_merging_the_q_proj_merges_nothing_else(platform: A2A3Sim, projections: dict[str, str], tmp_path: Path) -> None:
    free = {"proj_k_stages": "1", **projections}
    alone = _tasks_by_stage(platform, free, tmp_path / "alone")
    merged = _tasks_by_stage(platform, {**free, "q_proj_merge": "4"}, tmp_path / "merged")

    assert merged["q-proj"] * 4 == alone["q-proj"]
    assert (merged["wq_a"], merged["wkv"]) == (alone["wq_a"], alone["wkv"])


@pytest.mark.sim
@pytest.mark.parametrize(("heads", "size"), [(64, 3), (64, 4), (4, 3), (4, 8)])
def test_head_blocks_take_what_is_left_over_first(heads: int, size: int) -> None:
    from kernel.qkv_proj_rope.stages import head_blocks  # imports PyPTO

    blocks = list(head_blocks(heads, size))

    assert [head for first, count in blocks for head in range(first, first + count)] == list(range(heads))
    assert all(count == size for _, count in blocks[1:])


def _tasks_by_stage(platform: A2A3Sim, overrides: dict[str, str], directory: Path) -> Counter[str]:
    built = platform.build(KERNEL, "tiny", KERNEL.tuning("tiny", overrides), directory)
    return Counter(task.stage for task in built.tasks)
