"""Every knob of the kernel in one frozen record that refuses a bad combination before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType

from kernel.errors import TuningError
from kernel.qkv_proj_rope.guards import check
from kernel.qkv_proj_rope.shapes import shape_of

Knob = int | bool | str

FP16, INT32 = "fp16", "int32"  # values of `q_staging`
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


@dataclass(frozen=True, slots=True)
class Tuning:
    """Knobs of the compiled program. S, T, U, V, X are the steps of the operator's published history.

    X has no loop to unroll here: PyPTO pipelines the copies of a matrix product by itself, between L1 and L0, over the
    L0 tiles that one L1 load brings. `proj_k_stages` is that number, so it stands in for the pipelining depth.
    """

    attn_norm_partials: int = 2  # S: partial sums of x² over D
    attn_norm_rows: int = 4  # tokens of one attn-norm task
    fold_amax: bool = True  # T: amax taken in the qr-norm task instead of a pass of its own
    qr_norm_partials: int = 1  # U: partial sums of qr² over Q_LORA
    qr_norm_rows: int = 4  # tokens of one qr-norm task
    q_proj_k_tile: int = 512  # V: rows of wq_b in one L1 load
    q_proj_k_l0: int = 256  # rows of wq_b in one L0 tile
    q_proj_n_tile: int = 256  # columns of wq_b of one task
    proj_k_stages: int = 8  # X: L0 tiles in one L1 load of wq_a and wkv
    proj_k_l0: int = 64  # rows of wq_a and wkv in one L0 tile
    proj_n_tile: int = 256  # columns of wq_a of one task
    kv_n_tile: int = 256  # columns of wkv of one task
    split_k: int = 4  # partial products over D of the query projection
    kv_split_k: int = 4  # partial products over D of the kv projection
    q_staging: str = FP16  # q-proj results through the FP16 fix-pipe, or as exact INT32
    head_group: int = 4  # heads of one task
    head_rows: int = 32  # tokens of one head task
    head_tile_rows: int = 4  # tokens of one vector tile in it
    kv_rows: int = 4  # tokens of one kv-norm tile
    vec_merge: int = 1  # equal vector tasks merged into one
    l1_reuse: str = "-1:1"  # tasks merged to reuse one L1 load, by PyPTO's task group; -1 is every other group

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return asdict(self)

    @property
    def l1_reuse_map(self) -> dict[int, int]:
        """`l1_reuse` as PyPTO takes it."""
        return parse_l1_reuse(self.l1_reuse)


def parse_l1_reuse(text: str) -> dict[int, int]:
    """ "-1:1,1:6" as {-1: 1, 1: 6}. Raises `TuningError`."""
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        return {int(group): int(count) for group, count in pairs}
    except ValueError:
        raise TuningError(f"tuning key 'l1_reuse' cannot read {text!r}; write group:count pairs, as -1:1,1:6") from None


def _read(key: str, text: str, kind: type) -> Knob:
    """`text` as the type of knob `key`. Raises `TuningError`."""
    lowered = text.strip().lower()
    if kind is str:
        return text.strip()
    if kind is bool and lowered in _TRUE + _FALSE:
        return lowered in _TRUE
    if kind is int and lowered.removeprefix("-").isdecimal():
        return int(lowered)
    raise TuningError(f"tuning key '{key}' cannot read {text!r} as {kind.__name__}; see its default for the form")


def tuned(case: str, overrides: Mapping[str, str]) -> Tuning:
    """The best known tuning of `case` with `overrides` applied, every guard checked.

    Raises `TuningError` for an unknown key or an unreadable value, `GuardError` for a tiling that does not fit.
    """
    shape, best = shape_of(case), BEST[case]
    known = {field.name: type(getattr(best, field.name)) for field in fields(Tuning)}
    for key in overrides:
        if key not in known:
            raise TuningError(f"unknown tuning key '{key}'; known: {', '.join(sorted(known))}")
    changes = {key: _read(key, text, known[key]) for key, text in overrides.items()}
    tuning = replace(best, **changes)  # type: ignore[arg-type]
    check(shape, tuning)
    return tuning


BEST: Mapping[str, Tuning] = MappingProxyType(
    {
        "tiny": Tuning(q_proj_k_tile=256, proj_k_stages=2, head_rows=16),
        "flash-t1": Tuning(),
        "flash-t16": Tuning(),
        "flash-t32": Tuning(),
        "flash-s1": Tuning(),
        "flash-s2": Tuning(),
        "pro-s2": Tuning(attn_norm_rows=2, q_staging=INT32, proj_k_stages=7),
    }
)
