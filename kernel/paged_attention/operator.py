"""The operator: shapes, seeded inputs, the reference in plain torch, and what its output is held to.

For each sequence b, whose first LENGTH[b] positions lie in the blocks TABLE[b, 0], TABLE[b, 1], … of the cache, and
each group of G query heads that share one head of the cache:

    s   = (q · kᵀ) / sqrt(D)               FP32 sum of BF16 products
    e   = exp(s − max s)                   FP32
    out = bf16( (bf16(e) · v) / sum e )
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from kernel.errors import UnknownNameError
from kernel.spec import Case, Tensors, TensorSpec, Tolerance

# B sequences, HKV heads of the cache, G query heads for each, D width of a head, P positions of a block, M blocks a
# sequence may have, N blocks of the cache.
CASES: Mapping[str, Case] = MappingProxyType(
    {
        "tiny": Case(
            "tiny",
            "2 sequences of up to 256 positions: the same code path in seconds",
            {"B": 2, "HKV": 1, "G": 16, "D": 128, "P": 128, "M": 2, "N": 6},
        ),
        "decode-b4": Case(
            "decode-b4",
            "4 sequences of up to 512 positions, 32 query heads over 2",
            {"B": 4, "HKV": 2, "G": 16, "D": 128, "P": 128, "M": 4, "N": 24},
        ),
        "decode-b8": Case(
            "decode-b8",
            "8 sequences of up to 1024 positions, 64 query heads over 4",
            {"B": 8, "HKV": 4, "G": 16, "D": 128, "P": 128, "M": 8, "N": 96},
        ),
    }
)

INPUT_SETS: Mapping[str, str] = MappingProxyType(
    {
        "documented": "standard normal, ragged lengths, blocks in random order; the first sequence is full",
        "one-position": "every sequence has one position: its output is that position's value",
        "shared-prefix": "all sequences begin with the same block, as after a common prompt",
        "peaked": "queries of standard deviation 16: one position takes nearly all the weight",
    }
)

TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {"out": Tolerance(atol=1e-3, rtol=2.0**-6, outlier_share=0.005)}  # two steps of BF16, e and out being rounded to it
)

_PEAK = 16.0


def input_specs(dims: Mapping[str, int]) -> tuple[TensorSpec, ...]:
    """The operator's inputs, in its order."""
    cache = (dims["N"], dims["P"], dims["HKV"], dims["D"])
    return (
        TensorSpec("q", (dims["B"], dims["HKV"] * dims["G"], dims["D"]), torch.bfloat16),
        TensorSpec("k_cache", cache, torch.bfloat16),
        TensorSpec("v_cache", cache, torch.bfloat16),
        TensorSpec("table", (dims["B"], dims["M"]), torch.int32),
        TensorSpec("length", (dims["B"], 1), torch.int32),
    )


def output_specs(dims: Mapping[str, int]) -> tuple[TensorSpec, ...]:
    """The operator's output."""
    return (TensorSpec("out", (dims["B"], dims["HKV"] * dims["G"], dims["D"]), torch.bfloat16),)


def draw(dims: Mapping[str, int], input_set: str, seed: int) -> Tensors:
    """Seeded inputs. Drawn in FP64, which no vector unit of the host changes. Raises `UnknownNameError`."""
    if input_set not in INPUT_SETS:
        raise UnknownNameError("input set", input_set, list(INPUT_SETS))
    generator = torch.Generator().manual_seed(seed)
    q, k_cache, v_cache = (
        torch.randn(spec.shape, generator=generator, dtype=torch.float64) for spec in input_specs(dims)[:3]
    )
    most = dims["M"] * dims["P"]
    length = torch.randint(1, most + 1, (dims["B"], 1), generator=generator)
    length[0] = most
    blocks = torch.randperm(dims["N"], generator=generator)[: dims["B"] * dims["M"]]
    table = blocks.view(dims["B"], dims["M"]).clone()
    if input_set == "one-position":
        length.fill_(1)
    elif input_set == "shared-prefix":
        table[:, 0] = table[0, 0]
    elif input_set == "peaked":
        q *= _PEAK
    return {
        "q": q.bfloat16(),
        "k_cache": k_cache.bfloat16(),
        "v_cache": v_cache.bfloat16(),
        "table": table.to(torch.int32),
        "length": length.to(torch.int32),
    }


def golden(dims: Mapping[str, int], inputs: Tensors) -> Tensors:
    """The output. Sums are taken in FP64 and rounded to FP32 once: FP32 accumulation without its order."""
    out = torch.empty(output_specs(dims)[0].shape, dtype=torch.bfloat16)
    group = dims["G"]
    for sequence in range(dims["B"]):
        length = int(inputs["length"][sequence])
        blocks = inputs["table"][sequence].long()
        keys, values = (inputs[name][blocks].flatten(0, 1)[:length].double() for name in ("k_cache", "v_cache"))
        for head in range(dims["HKV"]):
            heads = slice(head * group, (head + 1) * group)
            products = (inputs["q"][sequence, heads].double() @ keys[:, head].T).float()
            out[sequence, heads] = _weighted(products * dims["D"] ** -0.5, values[:, head])
    return {"out": out}


def _weighted(scores: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Softmax of FP32 `scores` [G, S] over S, times FP64 `values` [S, D]: BF16 [G, D]."""
    weights = torch.exp((scores - scores.amax(-1, keepdim=True)).double()).float()
    total = weights.double().sum(-1, keepdim=True).float()
    return ((weights.bfloat16().double() @ values).float() / total).bfloat16()
