"""Where the kernel came from and where it may go: the untuned kernel, the named steps, and the values worth trying.

S, T, U, V, X are the steps of the operator's published history; the others are the earlier ones, with the counterpart
they have in this program. What each is worth here is measured by `farm ledger`, not written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kernel.qkv_proj_rope.tuning import MODEL_TRICKS, ProjectionTuning, best
from kernel.spec import Step

UNTUNED: Mapping[str, str] = MappingProxyType(
    {
        "attn_norm_partials": "1",
        "attn_norm_rows": "2",
        "fold_amax": "false",
        "qr_norm_partials": "1",
        "qr_norm_rows": "2",
        "q_proj_k_tile": "256",
        "proj_k_stages": "2",
        "proj_x_span": "1",
        "split_k": "1",
        "kv_split_k": "1",
        "q_staging": "int32",
        "head_merge": "1",
        "head_rows": "16",
        "head_tile_rows": "4",
        "head_load_tiles": "1",
        "kv_rows": "2",
        "q_proj_merge": "1",
    }
)

STEPS: tuple[Step, ...] = (
    Step("split-K", "projections over D as partial products on several cubes", ("split_k", "kv_split_k")),
    Step("head tasks", "more tokens and heads in one head task", ("head_rows", "head_tile_rows", "head_merge")),
    Step("norm tasks", "more tokens in one norm task", ("attn_norm_rows", "qr_norm_rows", "kv_rows")),
    Step("fix-pipe", "q-proj sums leave the cube as FP16 instead of INT32", ("q_staging",)),
    Step("q-proj group", "q-proj products merged into fewer cube tasks", ("q_proj_merge",)),
    Step("S", "attn-norm sum of squares as two partial sums", ("attn_norm_partials",)),
    Step("T", "amax taken in the qr-norm task", ("fold_amax",)),
    Step("U", "qr sum of squares as two partial sums", ("qr_norm_partials",)),
    Step("V", "larger K tile of q-proj", ("q_proj_k_tile",)),
    Step("X", "more L0 tiles in flight in the projections over D", ("proj_k_stages",)),
    Step("token load", "token_x loaded once for several loads of a weight", ("proj_x_span",)),
    Step("head load", "several vector tiles of a head loaded with one copy", ("head_load_tiles",)),
)

_SPACE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "attn_norm_partials": ("1", "2"),
        "attn_norm_rows": ("1", "2", "4"),
        "fold_amax": ("true", "false"),
        "qr_norm_partials": ("1", "2"),
        "qr_norm_rows": ("2", "4", "5", "8", "9"),
        "q_proj_k_tile": ("256", "512", "1024"),
        "q_proj_k_l0": ("128", "256"),
        "q_proj_n_tile": ("128", "256"),
        "proj_k_stages": ("2", "4", "8"),
        "proj_k_l0": ("64", "128"),
        "proj_x_span": ("1", "2"),
        "proj_n_tile": ("128", "256"),
        "kv_n_tile": ("128", "256"),
        "split_k": ("1", "2", "4", "8"),
        "kv_split_k": ("1", "2", "4", "8"),
        "q_staging": ("fp16", "int32"),
        "head_group": ("1", "2"),
        "head_merge": ("1", "2", "3", "4", "6"),
        "head_rows": ("16", "32", "64", "128"),
        "head_tile_rows": ("4", "8", "16"),
        "head_load_tiles": ("1", "2", "4"),
        "kv_rows": ("2", "4", "8", "16"),
        "q_proj_merge": ("1", "4", "6", "8"),
        "vec_merge": ("1", "2"),
        **dict.fromkeys(MODEL_TRICKS, ("true", "false")),
    }
)


def untuned(case: str) -> Mapping[str, str]:
    """Overrides that take the best tuning of `case` back to where its history began."""
    return UNTUNED


def space(case: str) -> Mapping[str, tuple[str, ...]]:
    """Values worth trying for each knob of `case`, the best known one first."""
    known = best(case).as_dict()
    return {key: tuple(dict.fromkeys((_text(known[key]), *values))) for key, values in _SPACE.items()}


def defaults() -> Mapping[str, int | float | bool | str]:
    """Every knob as it is where the tunings file says nothing."""
    return ProjectionTuning().as_dict()


def _text(value: int | float | bool | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
