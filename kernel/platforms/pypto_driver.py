"""Drives one PyPTO program: tensors in the layout it expects, compile, run, and what it left behind.

Both platforms share this; they differ in where the tensors live and in what the run mode and the options are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kernel.errors import KernelLayerError, TensorError
from kernel.platforms import compiled, pypto_errors, pypto_private
from kernel.platforms.capture import captured
from kernel.platforms.compiled_graph import CompiledGraph
from kernel.platforms.fingerprint import fingerprint
from kernel.platforms.program_signature import require_annotations
from kernel.platforms.protocol import LOG_NAME
from kernel.spec import Argument, Program, Tensors

_NZ_BLOCK_BYTES = 32  # the inner extent of the fractal layout


@dataclass(frozen=True, slots=True)
class Launch:
    """How PyPTO is to compile and run."""

    platform: str  # its name, for messages
    runtime: Mapping[str, Any]
    verify: Mapping[str, Any] = field(default_factory=dict)
    debug: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)  # its environment; None unsets
    on_device: bool = False  # an error that is not the compiler's is then the device's, and comes out as it is


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler left behind, read."""

    fingerprint: str
    labels: Mapping[tuple[str, int], str]  # (root hash, call) → semantic label
    topology: tuple[compiled.Call, ...]


def pack_nz(matrix: torch.Tensor) -> torch.Tensor:
    """`matrix` [K, N] in the fractal layout of a cube operand: [N / c0, K, c0] with c0 = 32 bytes, shaped [K, N].

    Raises `TensorError` where the rows are not a whole number of blocks.
    """
    if matrix.dim() != 2:
        raise TensorError(f"the NZ layout is for matrices, not for shape {tuple(matrix.shape)}")
    rows, columns = matrix.shape
    block = _NZ_BLOCK_BYTES // matrix.element_size()
    if columns % block:
        raise TensorError(f"the NZ layout of {matrix.dtype} needs columns in blocks of {block}; {columns} is not")
    return matrix.reshape(rows, columns // block, block).permute(1, 0, 2).contiguous().reshape(rows, columns)


def argument_views(program: Program, inputs: Tensors, outputs: Tensors) -> list[torch.Tensor]:
    """One tensor an argument, in the program's order and shape, sharing memory with the operands.

    Raises `TensorError` where an operand is missing, not contiguous, or of another element count.
    """
    return [_view(argument, outputs if argument.output else inputs) for argument in program.arguments]


def _view(argument: Argument, operands: Tensors) -> torch.Tensor:
    tensor = operands.get(argument.name)
    if tensor is None:
        raise TensorError(f"the program wants '{argument.name}', which is not among {', '.join(operands)}")
    if not tensor.is_contiguous():
        raise TensorError(f"'{argument.name}' is not contiguous; the program reads and writes memory in order")
    try:
        return tensor.view(argument.shape)
    except RuntimeError as error:
        have, want = tuple(tensor.shape), argument.shape
        raise TensorError(f"'{argument.name}' {have} cannot be viewed as {want}, which the program wants") from error


def launch(program: Program, tensors: list[torch.Tensor], how: Launch, directory: Path) -> Path:
    """Compile `program` and run it on `tensors`; return the directory of its artefacts, below `directory`.

    Everything printed meanwhile goes to `directory/platform.log`. Raises `CompileError`; whatever else stops a run (a
    device's fault, a full disk) comes out as it is. A failure within PyPTO's compile thread leaves this process unable
    to compile again: later calls raise `PlatformUnavailableError` instead of hanging.
    """
    import pypto

    require_annotations(program, tensors)
    pypto_private.require_unspent(how.platform)

    decorator = pypto.frontend.jit(
        runtime_options=dict(how.runtime),
        verify_options=dict(how.verify) or None,
        debug_options=dict(how.debug) or None,
        host_options=dict(how.host) or None,
        pass_options=dict(program.pass_options) or None,
        use_cache=False,
    )
    with (
        _errors_in_words(directory, how.on_device),
        captured(directory / LOG_NAME),
        pypto_private.environment(directory, how.variables),
    ):
        pypto_private.forget_previous_program()
        pypto_private.decorate(decorator, program.entry)(*tensors)
        return pypto_private.output_directory()


@contextmanager
def _errors_in_words(directory: Path, on_device: bool) -> Iterator[None]:
    log = directory / LOG_NAME
    begin = log.stat().st_size if log.exists() else 0
    try:
        yield
    except KernelLayerError:
        raise
    except Exception as error:
        printed = log.read_bytes()[begin:].decode(errors="replace") if log.exists() else ""
        with log.open("a") as file:
            file.write(f"\n{type(error).__name__}: {error}\n")
        for leftover in (*directory.glob("output_*"), directory / "home"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a run nobody will read
        if pypto_errors.is_ours(error) or (on_device and not pypto_errors.is_compilers(error)):
            raise
        complaint = pypto_errors.compile_error(error, printed)
        if pypto_errors.in_compile_thread(error):
            pypto_private.mark_spent(str(complaint))
        raise complaint from error


def read_compiled(artefacts: Path, graph: Path | None = None) -> Compiled:
    """What the compiler left in `artefacts`; no topology where nothing ran. `graph` is where it goes as data.

    Raises `FileNotFoundError` where the compiler wrote no program.
    """
    topology = artefacts / "dyn_topo.txt"
    program = artefacts / "program.json"
    roots = list(compiled.functions(program, compiled.ROOT_GRAPH))
    leaves = list(compiled.functions(program, compiled.LEAF_GRAPH))
    if graph is not None:
        CompiledGraph(roots, leaves, topology.read_text()).write(graph)
    return Compiled(
        fingerprint=fingerprint(roots, leaves),
        labels=compiled.labels(roots),
        topology=tuple(compiled.topology(topology)) if topology.exists() else (),
    )


def keep_only(directory: Path, artefacts: Path, keep: Callable[[Path], bool]) -> None:
    """Move the files `keep` picks from `artefacts` up into `directory` and delete the rest, which is 150 MB a run."""
    for path in sorted(artefacts.rglob("*")):
        if path.is_file() and keep(path):
            path.replace(directory / path.name)
    shutil.rmtree(artefacts)
    shutil.rmtree(directory / "home", ignore_errors=True)
