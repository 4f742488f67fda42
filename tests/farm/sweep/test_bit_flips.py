"""Single-bit flips in real outputs, through the real digest and the real attribution: ten thousand in the long form.

Every flip sits at a random place of a random output on a random device, in one repeat or in all of them. None may be
missed, and none may be blamed on another device. Sign bits of zeros, NaN payloads and the last bit of the last element
are among the places, and some are made sure of.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
import torch

from farm.model.sweep import Cell, Kind
from jobs import poison
from kernel.qkv_proj_rope import KERNEL
from tests.farm.sweep_samples import REPEATS, cell, fleet, judged

SEED = 20261124
DEVICES = fleet(6)
# The kernel's own outputs (bf16, int8, fp32), and int32, which its staging buffers have.
OUTPUTS = {spec.name: (spec.shape, spec.dtype) for spec in KERNEL.output_specs("tiny")}
OUTPUTS = {**OUTPUTS, "staged": ((16, 64), torch.int32)}


def outputs() -> dict[str, torch.Tensor]:
    """One trial's outputs, with both zeros, infinities and NaN among the floating-point elements."""
    generator = torch.Generator().manual_seed(SEED)
    made = {}
    for name, (shape, dtype) in OUTPUTS.items():
        if dtype.is_floating_point:
            tensor = torch.randn(shape, generator=generator).to(dtype)
            special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan")]).to(dtype)
            tensor.view(-1)[: len(special)] = special
        else:
            tensor = torch.randint(-128, 128, shape, generator=generator).to(dtype)
        made[name] = tensor
    return made


def flipped(tensor: torch.Tensor, bit: int) -> torch.Tensor:
    """`tensor` with one bit of its memory the other way round."""
    raw = tensor.clone().contiguous().view(-1).view(torch.uint8)
    raw[bit // 8] ^= 1 << (bit % 8)
    return raw.view(tensor.dtype).view(tensor.shape)


def places(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, int]]:
    """(output, bit): the ends and the special elements of each output, then random places, all outputs in turn."""
    bits = {name: 8 * tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        element = 8 * tensor.element_size()
        yield from ((name, bit) for bit in (*range(5 * element), bits[name] - 1))  # five special elements, the end
    draw = random.Random(SEED)
    while True:
        for name, count in bits.items():
            yield name, draw.randrange(count)


def sweep_with(right: dict[str, str], bad: int, output: str, digest: str, repeats: tuple[int, ...]) -> list[Cell]:
    """Two repeats on each device and two more on the bad one, which gives `digest` on the named repeats."""
    cells = []
    for number, device in enumerate(DEVICES):
        for repeat in range(2 * REPEATS if number == bad else REPEATS):
            odd = {output: digest} if number == bad and repeat in repeats else {}
            cells.append(cell(device.id, repeat, sha256={**right, **odd}))
    return cells


@pytest.mark.parametrize("flips", [1024, pytest.param(10_240, marks=pytest.mark.long)])
def test_no_flipped_bit_is_missed_or_blamed_on_another_device(flips: int) -> None:
    tensors = outputs()
    right = poison.digests(tensors)
    draw = random.Random(SEED)
    by_dtype: Counter[torch.dtype] = Counter()
    for number, (output, bit) in zip(range(flips), places(tensors), strict=False):
        bad = draw.randrange(len(DEVICES))
        always = draw.random() < 0.5
        repeats = tuple(range(2 * REPEATS)) if always else (draw.randrange(2 * REPEATS),)
        digest = poison.digest(flipped(tensors[output], bit))
        by_dtype[tensors[output].dtype] += 1

        found = judged(DEVICES, sweep_with(right, bad, output, digest, repeats))

        told = f"flip {number} of seed {SEED}: bit {bit} of {output} on device {bad}, repeats {repeats}"
        assert [each.devices for each in found] == [[DEVICES[bad].id]], told
        assert [place.output for place in found[0].places] == [output], told
        assert found[0].kind is Kind.UNDECIDED, told
        assert found[0].confirmed, told
    assert set(by_dtype) == {torch.bfloat16, torch.float32, torch.int8, torch.int32}
    assert min(by_dtype.values()) >= flips / 8


@pytest.mark.parametrize("name", OUTPUTS)
def test_equal_bits_are_never_blamed(name: str) -> None:
    tensors = outputs()
    once = poison.digest(flipped(flipped(tensors[name], 3), 3))

    assert once == poison.digest(tensors[name])
    assert judged(DEVICES, sweep_with(poison.digests(tensors), 0, name, once, (0, 1))) == []
