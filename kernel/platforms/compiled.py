"""Reads what PyPTO's compiler leaves behind: the compiled program, its topology, and the cost model's core log.

`program.json` holds the program after every compiler stage and reaches 114 MB; what runs is in two kinds of function,
the roots (which task calls which leaf, where) and the leaves (the instructions of a task). Only these are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT_GRAPH, LEAF_GRAPH = 2, 3  # values of "graphtype"
_COLUMNS = ("seqNo", "taskId", "rootHash", "opmagic", "leafHash", "coreType", "successors")  # of a topology

# PyPTO indents by one blank a level, so a function's braces stand alone behind two blanks.
_FUNCTION_BEGIN, _FUNCTION_END = b"\n  {\n", b"\n  }"


@dataclass(frozen=True, slots=True)
class Call:
    """One task of the topology: which call of which root it is, and which tasks wait for it."""

    sequence: int  # number of the device task it belongs to
    task: int  # number within that device task
    root: str  # hash of the root function
    magic: int  # the call operation within the root
    successors: tuple[int, ...]  # task numbers within the same device task
    leaf: str = ""  # hash of the function that is called; "0" for a join
    core: int = 0  # kind of core it runs on


def functions(program: Path, graph: int) -> Iterator[dict[str, Any]]:
    """The functions of one kind of graph in a `program.json`, in file order."""
    data = program.read_bytes()
    marker = b'\n   "graphtype": %d,' % graph
    at = data.find(marker)
    while at >= 0:
        begin, end = data.rfind(_FUNCTION_BEGIN, 0, at), data.find(_FUNCTION_END, at)
        yield json.loads(data[begin : end + len(_FUNCTION_END)])
        at = data.find(marker, end)


def labels(roots: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
    """(root hash, call) → semantic label, "" where the source gave none."""
    found: dict[tuple[str, int], str] = {}
    for root in roots:
        for operation in root["operations"]:
            found[root["hash"], operation["opmagic"]] = operation.get("semantic_label", {}).get("label", "")
    return found


def topology(path: Path) -> list[Call]:
    """The calls of a `dyn_topo.txt`."""
    return parsed_topology(path.read_text())


def parsed_topology(text: str) -> list[Call]:
    """The calls of the text of a `dyn_topo.txt`, whose columns its own first line names (the last one repeats)."""
    header, *lines = text.splitlines()
    columns = header.split(",")
    column = {name: columns.index(name) for name in _COLUMNS}
    calls = []
    for line in lines:
        fields = line.split(",")
        calls.append(
            Call(
                sequence=int(fields[column["seqNo"]]),
                task=int(fields[column["taskId"]]),
                root=fields[column["rootHash"]],
                magic=int(fields[column["opmagic"]]),
                leaf=fields[column["leafHash"]],
                core=int(fields[column["coreType"]]),
                successors=tuple(int(field) for field in fields[column["successors"] :] if field.strip()),
            )
        )
    return calls
