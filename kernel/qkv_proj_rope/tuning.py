"""Every knob of the kernel in one frozen record that refuses a bad combination before anything is built."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from kernel.knobs import overridden
from kernel.qkv_proj_rope.guards import FP16, check
from kernel.qkv_proj_rope.shapes import shape_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class ProjectionTuning:
    """Knobs of the compiled program. S, T, U, V, X are the steps of the operator's published history.

    X has no loop to unroll here: PyPTO pipelines the copies of a matrix product by itself, between L1 and L0, over the
    L0 tiles that one L1 load brings. `proj_k_stages` is that number, so it stands in for the pipelining depth.

    The last five switch forms that are fast in PyPTO's cost model and may not be on silicon: see `MODEL_TRICKS`.
    """

    attn_norm_partials: int = 2  # S: partial sums of x² over D
    attn_norm_rows: int = 4  # tokens of one attn-norm task
    fold_amax: bool = True  # T: amax taken in the qr-norm task instead of a pass of its own
    qr_norm_partials: int = 2  # U: partial sums of qr² over Q_LORA
    qr_norm_rows: int = 9  # tokens of one qr-norm task
    q_proj_k_tile: int = 1024  # V: rows of wq_b in one L1 load
    q_proj_k_l0: int = 256  # rows of wq_b in one L0 tile
    q_proj_n_tile: int = 256  # columns of wq_b of one matrix product
    proj_k_stages: int = 8  # X: L0 tiles in one L1 load of wq_a and wkv
    proj_k_l0: int = 64  # rows of wq_a and wkv in one L0 tile
    proj_x_span: int = 2  # L1 loads of wq_a or wkv that one L1 load of token_x serves
    proj_n_tile: int = 256  # columns of wq_a of one task
    kv_n_tile: int = 256  # columns of wkv of one task
    split_k: int = 4  # partial products over D of the query projection
    kv_split_k: int = 4  # partial products over D of the kv projection
    q_staging: str = FP16  # q-proj results through the FP16 fix-pipe, or as exact INT32
    head_group: int = 1  # heads loaded and cast with one copy
    head_merge: int = 3  # head groups of one task; the first task takes what is left
    head_rows: int = 64  # tokens of one head task
    head_tile_rows: int = 16  # tokens of one vector tile in it
    head_load_tiles: int = 2  # vector tiles of FP16 sums loaded with one copy; half as many of INT32 sums
    kv_rows: int = 8  # tokens of one kv-norm task
    q_proj_merge: int = 6  # matrix products of one q-proj task; the first task takes what is left
    l1_reuse: int = 1  # cube tasks that load the same operand merged into one
    vec_merge: int = 1  # equal vector tasks merged into one
    join_part_loads: bool = (
        True  # the parts of a split product multiplied by 1 as a whole, which loads them with one copy
    )
    join_row_loads: bool = True  # the same of the q-proj sums of `head_load_tiles` vector tiles
    join_scale_loads: bool = True  # the same of the channel scales of a head task
    implicit_broadcast: bool = True  # a row's or column's factor left to the product, not expanded before it
    rope_gather: bool = True  # the elements of a pair exchanged by a gather, not by two transpositions

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return asdict(self)


def tuned(case: str, overrides: Mapping[str, str]) -> ProjectionTuning:
    """The best known tuning of `case` with `overrides` applied, every guard checked.

    Raises `TuningError` for an unknown key or an unreadable value, `GuardError` for a tiling that does not fit.
    """
    shape = shape_of(case)
    tuning = overridden(best(case), overrides)
    check(shape, tuning)
    return tuning


# Switch → what of the cost model makes its form fast there, and what a device may say to it.
MODEL_TRICKS: Mapping[str, str] = MappingProxyType(
    {
        "join_part_loads": "a copy costs 1400 cycles before its first byte, and a product by 1 next to nothing",
        "join_row_loads": "the same; on a device the product takes a pass of the vector unit over every row",
        "join_scale_loads": "the same; the scales of one head are 2 KB",
        "implicit_broadcast": "a [rows, 1] or [1, columns] factor costs no more than a full one",
        "rope_gather": "a gather costs as much as a copy within the core, whatever its index",
    }
)

TUNINGS = Path(__file__).parent / "tunings.toml"


@functools.cache
def _best() -> Mapping[str, ProjectionTuning]:
    entries = tomllib.loads(TUNINGS.read_text())
    return {case: ProjectionTuning(**entry) for case, entry in entries.items()}


def best(case: str) -> ProjectionTuning:
    """The best known tuning of `case`, from `tunings.toml`."""
    return _best()[case]
