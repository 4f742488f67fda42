"""A compiled program as data: what a cost model needs to time it, and nothing that could be executed.

The process that compiles a program writes one, and another process that has loaded none of the program's code reads it
and times it. Whatever is in it is the word of the first process, so it is bounded, and held to itself: the topology
must have each call of each root function, with the leaf function that the root names, after everything it reads.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel.errors import KernelLayerError
from kernel.platforms import compiled
from kernel.platforms.compiled import Call

GRAPH_NAME = "graph.json.gz"
MAX_GRAPH_BYTES = 512 << 20  # unpacked; the largest compiled kernel so far has 40 MB
_JOIN = 4  # core type of a task that only joins others: it costs nothing and runs on no core
_ON_CORES = (0, 1, 2)  # core types of tasks that take time: vector, cube, both


class GraphError(KernelLayerError):
    """The answer of a process is not a compiled program, or contradicts itself."""


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """The functions that run, and which task calls which of them in what order."""

    roots: Sequence[Mapping[str, Any]]
    leaves: Sequence[Mapping[str, Any]]
    topology: str  # the text of a dyn_topo.txt

    def write(self, path: Path) -> None:
        """Write it, compressed; equal graphs give equal files."""
        told = {"roots": self.roots, "leaves": self.leaves, "topology": self.topology}
        packed = gzip.compress(json.dumps(told, separators=(",", ":")).encode(), compresslevel=1, mtime=0)
        path.write_bytes(packed)

    @classmethod
    def read(cls, path: Path) -> CompiledGraph:
        """The graph in `path`. Raises `GraphError`."""
        try:
            told = json.loads(_unpacked(path.read_bytes()))
            graph = cls(told["roots"], told["leaves"], told["topology"])
            _require_whole(graph)
        except GraphError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, zlib.error) as error:
            raise GraphError(f"the compiled program cannot be read: {type(error).__name__}") from error
        return graph

    def calls(self) -> list[Call]:
        """The tasks of the topology."""
        return compiled.parsed_topology(self.topology)


def _unpacked(packed: bytes) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    data = unpack.decompress(packed, MAX_GRAPH_BYTES)
    if unpack.unconsumed_tail or not unpack.eof:
        raise GraphError(f"the compiled program has more than {MAX_GRAPH_BYTES >> 20} MB, or is cut off")
    return data


def _require_whole(graph: CompiledGraph) -> None:
    """Raise `GraphError` unless the topology runs every call of every root, in an order that its data allows."""
    roots = {str(root["hash"]): root for root in graph.roots}
    leaves = {str(leaf["hash"]) for leaf in graph.leaves}
    calls: dict[tuple[int, int, str], list[Call]] = defaultdict(list)
    for call in graph.calls():
        calls[call.sequence, call.task >> 20, call.root].append(call)
    if not roots or {root for _, _, root in calls} != set(roots):
        raise GraphError("its topology does not run every root function of the compiled program, and no other")
    for (_, _, root), of_root in calls.items():
        _require_calls(roots[root], leaves, of_root)


def _require_calls(root: Mapping[str, Any], leaves: set[str], calls: Sequence[Call]) -> None:
    operations = {int(each["opmagic"]): each for each in root["operations"]}
    named = {call.magic: call for call in calls if call.magic in operations}
    joins = [call for call in calls if call.magic not in operations]
    if set(named) != set(operations) or len(named) + len(joins) != len(calls):
        raise GraphError("its topology leaves out calls of the compiled program, or has one twice")
    for magic, call in named.items():
        if call.leaf != str(operations[magic].get("calleehash")) or call.leaf not in leaves:
            raise GraphError("a task of its topology calls another function than the compiled program")
    if any(call.core not in _ON_CORES for call in named.values()) or any(call.core != _JOIN for call in joins):
        raise GraphError("a task of its topology is on no core, or one that the compiled program does not have is")
    _require_order(operations, named, calls)


def _require_order(
    operations: Mapping[int, Mapping[str, Any]], named: Mapping[int, Call], calls: Iterable[Call]
) -> None:
    successors = {call.task: call.successors for call in calls}
    readers: dict[int, set[int]] = defaultdict(set)
    for magic, operation in operations.items():
        for tensor in operation["ioperands"]:
            readers[tensor].add(magic)
    for magic, operation in operations.items():
        needed = {
            named[reader].task for tensor in operation["ooperands"] for reader in readers[tensor] if reader != magic
        }
        if needed and not needed <= _reached(named[magic].task, successors):
            raise GraphError("a task of its topology does not wait for what it reads")


def _reached(task: int, successors: Mapping[int, Sequence[int]]) -> set[int]:
    reached: set[int] = set()
    ahead = [task]
    while ahead:
        for other in successors.get(ahead.pop(), ()):
            if other not in reached:
                reached.add(other)
                ahead.append(other)
    return reached
