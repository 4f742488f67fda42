"""The paged-attention kernel: golden against definition, and guards."""

from __future__ import annotations

import pytest
import torch

from kernel.errors import GuardError
from kernel.paged_attention import KERNEL
from kernel.paged_attention.operator import CASES
from kernel.paged_attention.tuning import AttentionTuning, check
from kernel.spec import Tensors
from kernel.tolerance import compare


def by_definition(inputs: Tensors) -> torch.Tensor:
    """Attention over the gathered cache, with torch's own softmax and without BF16 in between."""
    out = torch.empty(inputs["q"].shape, dtype=torch.bfloat16)
    sharing = inputs["q"].shape[1] // inputs["k_cache"].shape[2]
    for sequence, length in enumerate(inputs["length"].flatten().tolist()):
        positions = [
            (int(inputs["table"][sequence, at // inputs["k_cache"].shape[1]]), at % inputs["k_cache"].shape[1])
            for at in range(length)
        ]
        keys = torch.stack([inputs["k_cache"][block, at] for block, at in positions]).double()
        values = torch.stack([inputs["v_cache"][block, at] for block, at in positions]).double()
        for head in range(inputs["q"].shape[1]):
            scores = keys[:, head // sharing] @ inputs["q"][sequence, head].double() / inputs["q"].shape[2] ** 0.5
            out[sequence, head] = (torch.softmax(scores, 0) @ values[:, head // sharing]).bfloat16()
    return out


@pytest.mark.parametrize("input_set", list(KERNEL.input_sets))
def test_the_golden_follows_the_definition(input_set: str) -> None:
    inputs = KERNEL.inputs("tiny", input_set, seed=3)

    compared = compare(
        "out", KERNEL.golden("tiny", inputs)["out"], by_definition(inputs), KERNEL.tolerances["out"], "definition"
    )

    assert compared.passed, compared


def test_what_lies_past_the_length_or_in_no_table_does_not_matter() -> None:
    inputs = KERNEL.inputs("tiny", "documented", seed=1)
    golden = KERNEL.golden("tiny", inputs)
    used = set(inputs["table"].flatten().tolist())
    unused = [block for block in range(inputs["k_cache"].shape[0]) if block not in used]
    last = int(inputs["length"][1])
    block = int(inputs["table"][1, last // 128])
    for name in ("k_cache", "v_cache"):
        inputs[name][unused] = 1e4
        inputs[name][block, last % 128 :] = 1e4

    assert last < 256 and unused
    assert torch.equal(KERNEL.golden("tiny", inputs)["out"], golden["out"])


def test_one_position_gives_its_value() -> None:
    inputs = KERNEL.inputs("tiny", "one-position", seed=0)
    first = inputs["v_cache"][int(inputs["table"][1, 0]), 0, 0]

    assert torch.equal(KERNEL.golden("tiny", inputs)["out"][1], first.expand(16, -1))


@pytest.mark.parametrize(
    ("changes", "tuning", "words"),
    [
        ({}, AttentionTuning(rows=3), "16 and 3"),
        ({"M": 64, "N": 512}, AttentionTuning(), "softmax UB bytes"),
        ({"G": 12}, AttentionTuning(rows=4), "G of whole cube rows: 12 and 16"),
        ({"N": 8}, AttentionTuning(), "B\\*M blocks of the cache: 64 and 8"),
        ({"P": 512}, AttentionTuning(), "K block L0B bytes"),
    ],
)
def test_a_shape_or_tiling_that_does_not_fit_is_refused(
    changes: dict[str, int], tuning: AttentionTuning, words: str
) -> None:
    with pytest.raises(GuardError, match=words):
        check({**CASES["decode-b8"].dims, **changes}, tuning)
