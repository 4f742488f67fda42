"""Runs a kernel once on tensors from a file instead of drawn ones."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from jobs import poison
from kernel.errors import TensorError, UnwrittenOutputError
from kernel.platforms.protocol import Execution, Platform
from kernel.spec import Kernel, Tensors, TensorSpec, Tuning


def run_on_file(
    kernel: Kernel, case: str, tuning: Tuning, platform: Platform, source: Path, target: Path, cache_dir: Path
) -> Execution:
    """Read the inputs of `case` from safetensors file `source`, run once on device 0, write the outputs to `target`.

    Raises `TensorError` where the file cannot be read or written or a tensor is not as the operator's table says,
    `UnwrittenOutputError` where the kernel did not fill its outputs, and what `Platform.run` raises. `target` is
    written whole or not at all.
    """
    inputs = read_inputs(source, kernel.input_specs(case))
    require_directory(target)
    specs = kernel.output_specs(case)
    seed = secrets.randbits(63)
    outputs = poison.poisoned(specs, seed)
    platform.prepare(cache_dir)
    with tempfile.TemporaryDirectory(prefix="farm-exec-") as scratch:
        execution = platform.run(kernel, case, tuning, inputs, outputs, 0, Path(scratch))
    left = poison.unwritten(outputs, specs, seed)
    if left:
        raise UnwrittenOutputError("; ".join(str(hole) for hole in left))
    _write(target, outputs)
    return execution


def require_directory(target: Path) -> None:
    """Raise `TensorError` where `target` has no directory to be written to."""
    if not target.parent.is_dir():
        raise TensorError(f"--outputs {target}: directory {target.parent} does not exist; create it first")


def read_inputs(source: Path, specs: tuple[TensorSpec, ...]) -> Tensors:
    """The tensors of `source` in the order of `specs`, each checked. Raises `TensorError`."""
    try:
        found = load_file(source)
    except (SafetensorError, OSError) as error:
        raise TensorError(f"--inputs {source} is no readable safetensors file: {error}") from error
    wanted = [spec.name for spec in specs]
    if missing := [name for name in wanted if name not in found]:
        raise TensorError(f"--inputs {source} lacks {', '.join(missing)}; it must hold {', '.join(wanted)}")
    if unknown := sorted(set(found) - set(wanted)):
        raise TensorError(
            f"--inputs {source} holds {', '.join(unknown)}, which the operator does not take; remove them"
        )
    for spec in specs:
        _check(found[spec.name], spec, source)
    return {spec.name: found[spec.name] for spec in specs}


def _check(tensor: torch.Tensor, spec: TensorSpec, source: Path) -> None:
    if tuple(tensor.shape) != spec.shape:
        raise TensorError(f"--inputs {source}: {spec.name} has shape {list(tensor.shape)}, expected {list(spec.shape)}")
    if tensor.dtype != spec.dtype:
        raise TensorError(f"--inputs {source}: {spec.name} has dtype {tensor.dtype}, expected {spec.dtype}")
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise TensorError(f"--inputs {source}: {spec.name} holds NaN or Inf; the operator is defined on finite values")


def _write(target: Path, outputs: Tensors) -> None:
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        save_file({name: tensor.contiguous() for name, tensor in outputs.items()}, fresh)
        fresh.replace(target)
    except (SafetensorError, OSError) as error:
        fresh.unlink(missing_ok=True)
        raise TensorError(f"--outputs {target} cannot be written: {error}") from error
