"""The program's operands, and the tiny case compiled and computed with PyPTO."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from kernel.platforms.a2a3sim import A2A3Sim
from kernel.qkv_proj_rope import KERNEL

# The stage that each switch changes. Switches of different stages are compiled together, in the program of their row;
# rows that differ in what they set of a stage must differ in its tasks. Without a stage, only the fingerprint shows it.
ROWS: list[dict[str, dict[str, str]]] = [
    {},
    {"": {"attn_norm_partials": "1"}},  # S
    {"": {"qr_norm_partials": "1"}},  # U
    {
        "heads": {"q_staging": "int32"},
        "qr-norm": {"fold_amax": "off"},  # T
        "q-proj": {"q_proj_k_tile": "128", "q_proj_k_l0": "128"},  # V
        "wq_a": {"proj_k_stages": "1"},  # X
    },
    {
        "heads": {"head_group": "2"},
        "qr-norm": {"implicit_broadcast": "off"},
        "q-proj": {"q_proj_merge": "2"},
        "wq_a": {"proj_x_span": "2", "proj_k_stages": "1"},
    },
    {"heads": {"head_merge": "2"}, "kv-norm-rope": {"join_part_loads": "off"}},
    {"heads": {"head_tile_rows": "8"}},
    {"heads": {"head_tile_rows": "8", "head_load_tiles": "1"}},
    {"heads": {"head_tile_rows": "8", "join_row_loads": "off"}},
    {"heads": {"head_merge": "2", "join_scale_loads": "off"}},
    {"heads": {"rope_gather": "off"}},
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
    prints, tasks = set(), []
    for number, row in enumerate(ROWS):
        overrides = {key: value for switches in row.values() for key, value in switches.items()}
        built = platform.build(KERNEL, "tiny", KERNEL.tuning("tiny", overrides), tmp_path / str(number))
        prints.add(built.fingerprint)
        tasks.append(Counter((task.stage, task.duration_us) for task in built.tasks))

    assert len(prints) == len(ROWS)
    for stage in {stage for row in ROWS for stage in row if stage}:
        wanted = [tuple(sorted(row.get(stage, {}).items())) for row in ROWS]
        first = {variant: tasks[wanted.index(variant)] for variant in wanted}
        found = {frozenset(each for each in seen.items() if each[0][0] == stage) for seen in first.values()}
        assert len(found) == len(first), stage


@pytest.mark.sim
@pytest.mark.parametrize(
    "projections",
    [
        pytest.param({}, marks=pytest.mark.long),
        {"kv_n_tile": "128"},
        pytest.param({"split_k": "2", "kv_split_k": "1"}, marks=pytest.mark.long),
        {"split_k": "1", "kv_split_k": "2"},
    ],
)
def test_merging_the_q_proj_merges_nothing_else(platform: A2A3Sim, projections: dict[str, str], tmp_path: Path) -> None:
    """Those that are long differ from the others in how each projection is split, and not in what is merged."""
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
