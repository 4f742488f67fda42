"""A compiled program that a process hands over as data: read back as it was, and held to itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.platforms import compiled_graph
from kernel.platforms.compiled_graph import CompiledGraph, GraphError

_HEADER = "seqNo,taskId,rootIndex,rootHash,opmagic,leafIndex,leafHash,coreType,psgId,successors"
# Two loads and a product, which reads what both have loaded; a join starts the loads.
_TASKS = {
    0: (10, "load", 0, (2,)),
    1: (11, "load", 0, (2,)),
    2: (12, "product", 1, ()),
    3: (99, "0", 4, (0, 1)),
}
_ROOT = {
    "hash": "root",
    "operations": [
        {"opmagic": 10, "calleehash": "load", "ioperands": [1], "ooperands": [2]},
        {"opmagic": 11, "calleehash": "load", "ioperands": [1], "ooperands": [3]},
        {"opmagic": 12, "calleehash": "product", "ioperands": [2, 3], "ooperands": [4]},
    ],
}

Tasks = dict[int, tuple[int, str, int, tuple[int, ...]]]


def topology(tasks: Tasks, root: str = "root") -> str:
    rows = [
        f"0,{task},0,{root},{magic},0,{leaf},{core},0,,{','.join(map(str, after))}"
        for task, (magic, leaf, core, after) in tasks.items()
    ]
    return "\n".join([_HEADER, *rows])


def graph(tasks: Tasks | None = None, roots: tuple[dict[str, Any], ...] = (_ROOT,), of: str = "root") -> CompiledGraph:
    return CompiledGraph(list(roots), [{"hash": "load"}, {"hash": "product"}], topology(tasks or _TASKS, of))


def handed_over(path: Path, made: CompiledGraph) -> CompiledGraph:
    made.write(path / "graph")
    return CompiledGraph.read(path / "graph")


def without(task: int) -> Tasks:
    return {number: row for number, row in _TASKS.items() if number != task}


def test_a_graph_comes_back_as_it_was_and_equal_graphs_are_equal_files(tmp_path: Path) -> None:
    made = graph()

    assert handed_over(tmp_path, made) == made
    first = (tmp_path / "graph").read_bytes()
    graph().write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == first


def test_an_order_over_a_join_is_an_order(tmp_path: Path) -> None:
    joined = {**_TASKS, 0: (10, "load", 0, (4,)), 1: (11, "load", 0, (4,)), 4: (98, "0", 4, (2,))}

    assert len(handed_over(tmp_path, graph(joined)).calls()) == 5


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (lambda: graph(without(0)), "leaves out calls"),
        (lambda: graph({**_TASKS, 5: (10, "load", 0, (2,))}), "has one twice"),
        (lambda: graph({**_TASKS, 0: (10, "product", 0, (2,))}), "calls another function"),
        (lambda: graph({**_TASKS, 0: (10, "0", 4, (2,))}), "calls another function"),
        (lambda: graph({**_TASKS, 0: (10, "load", 4, (2,))}), "is on no core"),
        (lambda: graph({**_TASKS, 3: (99, "0", 0, (0, 1))}), "that the compiled program does not have"),
        (lambda: graph({**_TASKS, 1: (11, "load", 0, ())}), "does not wait for what it reads"),
        (lambda: graph({**_TASKS, 0: (10, "load", 0, ()), 1: (11, "load", 0, ())}), "does not wait"),
        (lambda: graph(of="other"), "does not run every root"),
        (lambda: graph(roots=(_ROOT, {**_ROOT, "hash": "never run"})), "does not run every root"),
        (lambda: graph(roots=()), "does not run every root"),
        (lambda: CompiledGraph([_ROOT], [{"hash": "load"}], topology(_TASKS)), "calls another function"),
        (lambda: CompiledGraph([_ROOT], [{"hash": "load"}], ""), "cannot be read: ValueError"),
        (lambda: CompiledGraph([{}], [{"hash": "load"}], topology(_TASKS)), "cannot be read: KeyError"),
    ],
)
def test_a_topology_that_is_not_the_programs_is_refused(
    tmp_path: Path, forged: Callable[[], CompiledGraph], words: str
) -> None:
    with pytest.raises(GraphError, match=words):
        handed_over(tmp_path, forged())


@pytest.mark.parametrize(
    "packed",
    [b"", b"no gzip", gzip.compress(b"[1, 2"), gzip.compress(b"[]"), gzip.compress(b"{}")[:-9]],
    ids=["empty", "no gzip", "no JSON", "a list", "cut short"],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "graph").write_bytes(packed)

    with pytest.raises(GraphError):
        CompiledGraph.read(tmp_path / "graph")


def test_a_small_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_graph, "MAX_GRAPH_BYTES", 1 << 20)
    (tmp_path / "graph").write_bytes(gzip.compress(json.dumps([0] * (1 << 21)).encode()))

    with pytest.raises(GraphError, match="more than 1 MB"):
        CompiledGraph.read(tmp_path / "graph")
