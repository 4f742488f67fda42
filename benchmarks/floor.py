"""A time that no schedule of the reference operator beats in PyPTO's cost model, from the model's own prices.

Cycles are turned into simulated µs as PyPTO does it: 1800 to a µs (`--time_convert_denominator`, `ModelTop.cpp`). Paths
are below `framework/src/cost_model/simulation/` of hicann/pypto, branch 0.2.0.

| price | cycles | source |
|---|---|---|
| copy into a core | 1400 + bytes / 95.7 | `arch/PipeSimulatorFast.cpp`: latency + 2000·(2e-6·r·bytes + c) + 1 |
| copy out of a core | 300 + bytes / 76.0 | the same; r is 2.613 in, 3.2883 out: `arch/A2A3/PostSimulatorA2A3.h` |
| product of tiles | 20.6 + bytes of the smallest / 64.0 | the same, A_MULACC_B, its cheapest product |
| edge between tasks | 240 + 390 + 200 | `config/AICPUConfig.toml`: a core polled, a successor freed, a task sent |

24 cube cores and 48 vector cores, 4 and 8 for each of 6 schedulers (`config/ModelConfig.toml`). A core has one pipe of
each kind (`config/CoreConfig.toml`), so its copies in wait for one another; the pipes run side by side. What a copy
brings fits the core's buffer (`config/PipeConfig.toml`), so a core that takes more pays the latency again.

The operator has five dependent stages, by turns on vector and cube cores: attn-norm, wq_a, qr-norm, q-proj, heads.
Cores share global memory only, so each stage copies in and out, and an edge lies between two stages. A row of `qr`
needs all of `wq_a`, and a task of q-proj needs a row of `qr`: so all of `wq_a` and then all of `wq_b` passes into the
cubes, one after the other, whatever overlaps. The slowest cube takes at least as long as the mean. In cycles:

    floor = 3·1400 + 5·300 + 4·830 + stage(wq_a) + stage(wq_b)
    stage(weight) = max(copies in of the weight, products of the weight) over 24 cubes, first latency included

The vector operations of the other stages, the products' first operands and the queues of the schedulers are left out.
So no schedule is faster, and none need be as fast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kernel.core_limits import L0_BYTES, L0C_BYTES, L1_BYTES, MIN_M, UB_BYTES
from kernel.qkv_proj_rope.shapes import Shape

CUBES, VECTORS = 24, 48
CYCLES_PER_US = 1800
READ_LATENCY, WRITE_LATENCY = 1400, 300  # cycles of one copy before its first byte
POLL, RESOLVE, DISPATCH = 240, 390, 200  # completionCycles, resolveCycles, schedulerCycles
EDGE = POLL + RESOLVE + DISPATCH
VECTOR_STAGES, CUBE_STAGES = 3, 2  # attn-norm, qr-norm, heads; wq_a, q-proj
_A_BYTE = 2000 * 2e-6  # a coefficient r of the model costs this times r for each byte
READ_BYTES, WRITE_BYTES = 1 / (_A_BYTE * 2.613), 1 / (_A_BYTE * 3.2883)  # a cycle and core
_PRODUCT_BYTE, _PRODUCT = _A_BYTE * 3.90376, 2000 * 0.0103  # cycles a byte of the smallest tile, and a product
_BF16, _INT8, _FP32 = 2, 1, 4  # bytes


@dataclass(frozen=True, slots=True)
class Core:
    """One kind of core, as far as copies go."""

    count: int
    in_bytes: int  # the largest copy in
    out_bytes: int  # the largest copy out


CUBE, VECTOR = Core(CUBES, L1_BYTES, L0C_BYTES), Core(VECTORS, UB_BYTES, UB_BYTES)


def floor_us(shape: Shape) -> float:
    """A time that no schedule of the whole operator beats, simulated µs."""
    chain = VECTOR_STAGES * READ_LATENCY + (VECTOR_STAGES + CUBE_STAGES) * WRITE_LATENCY
    chain += (VECTOR_STAGES + CUBE_STAGES - 1) * EDGE
    first = _cube_cycles(shape.t, shape.d, shape.q_lora, _BF16, 0)
    second = _cube_cycles(shape.t, shape.q_lora, shape.q_width, _INT8, 0)
    return (chain + first + second) / CYCLES_PER_US


def stage_floors_us(shape: Shape) -> dict[str, float]:
    """Stage → a time that no schedule of it beats, simulated µs, from its first copy in to its last copy out."""
    tokens, latent, query = shape.t * shape.d, shape.t * shape.q_lora, shape.t * shape.q_width
    key = shape.t * shape.head_dim
    cycles = {
        "attn-norm": _vector_cycles(tokens * _BF16, tokens * _BF16),
        "wq_a": _cube_cycles(shape.t, shape.d, shape.q_lora, _BF16, latent * _BF16),
        "wkv": _cube_cycles(shape.t, shape.d, shape.head_dim, _BF16, key * _BF16),
        "qr-norm": _vector_cycles(latent * _BF16, latent * _INT8),
        "kv-norm-rope": _vector_cycles(key * _BF16, key * _BF16),
        "q-proj": _cube_cycles(shape.t, shape.q_lora, shape.q_width, _INT8, query * _BF16),
        "heads": _vector_cycles(query * _BF16, query * _BF16),
    }
    return {stage: (each + WRITE_LATENCY) / CYCLES_PER_US for stage, each in cycles.items()}


def _vector_cycles(read: int, written: int) -> float:
    """Copies in and copies out run side by side, on pipes of their own; the first latency of a copy out comes after."""
    return max(_read_cycles(read, VECTOR), READ_LATENCY + _write_cycles(written, VECTOR))


def _cube_cycles(rows: int, depth: int, columns: int, width: int, written: int) -> float:
    """[rows, depth] @ [depth, columns] of `width` bytes an element; at least the second operand is copied in."""
    products = _product_cycles(rows, depth, columns, width)
    out = READ_LATENCY + _write_cycles(written, CUBE)
    return max(_read_cycles(depth * columns * width, CUBE), READ_LATENCY + products, out)


def _read_cycles(size: int, core: Core) -> float:
    """Cycles until `size` bytes are in the cores; the mean over them, and one copy at least."""
    each = size / core.count
    return READ_LATENCY * max(1.0, each / core.in_bytes) + each / READ_BYTES


def _write_cycles(size: int, core: Core) -> float:
    """The same of copies out, without the latency of one, which a stage pays last of all."""
    each = size / core.count
    return WRITE_LATENCY * max(0.0, each / core.out_bytes - 1) + each / WRITE_BYTES


def _product_cycles(rows: int, depth: int, columns: int, width: int) -> float:
    """Cycles of all products over all cubes, with the tile that is cheapest for an element multiplied.

    Of a tile [m, k] @ [k, n] the model charges for the smallest of the three matrices, and m·k·n over that is the
    longest of m, k, n. Operands fit L0, and no side is shorter than 16, which bounds the longest side; the sizes of all
    three together bound m·k·n. One tile cannot reach both bounds, so this is less than any tiling takes.
    """
    operand, result = L0_BYTES / width, L0C_BYTES / _FP32
    longest = min(max(rows, depth, columns), max(operand, result) / MIN_M)
    largest = math.sqrt(operand * operand * result)
    return rows * depth * columns / CUBES * (_PRODUCT_BYTE * width / longest + _PRODUCT / largest)
