"""The plain platform with a compiled program that another process can time: the graph is its tasks, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from kernel.platforms.protocol import Simulated, Task
from tests.fakes import plain_platform
from tests.fakes.plain_platform import PlainPlatform


class GraphPlatform(PlainPlatform):
    """Follows `Resimulated` as well."""

    name = "graph"
    graph = "graph.json"
    simulator = "tests.fakes.graph_platform:simulate"

    def __init__(self) -> None:
        self._hands_over = False

    def hand_over_graph(self) -> None:
        self._hands_over = True

    def _record(self, directory: Path) -> None:
        super()._record(directory)
        if self._hands_over:
            (directory / self.graph).write_text((directory / self.recording).read_text())


def simulate(graph: Path, directory: Path) -> Simulated:
    """What the model makes of a graph: it takes its time from the tasks' names and cores, whatever they say."""
    honest = {task.name: task for task in plain_platform.TASKS}
    return Simulated("f" * 64, tuple(honest[fields[0]] for fields in json.loads(graph.read_text())))


def task(us: float) -> Task:
    """The platform's only task, were it as long as that."""
    return Task("t0", "all", "AIV_1", 0.0, us)
