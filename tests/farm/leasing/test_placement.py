"""What a cluster could not give is refused before anybody waits for it. Whole clusters are in `test_many_nodes`."""

from __future__ import annotations

import re

import pytest

from farm.cluster import connection
from farm.cluster.connection import Node
from farm.errors import CapacityError, UsageError
from farm.leasing.placement import Placement
from farm.model.selection import Selection, Spread


@pytest.fixture(params=[0, 1, 3])
def hosts_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of some nodes, none of which has an NPU."""
    nodes = {f"id{number}": Node(f"id{number}", f"host{number}", "", npus=0) for number in range(request.param)}
    monkeypatch.setattr(connection, "nodes", lambda: nodes)


@pytest.mark.usefixtures("hosts_alone")
@pytest.mark.parametrize("selection", [Selection(), Selection(soc="new"), Selection(devices=["host0/0"])])
def test_a_cluster_without_npus_is_said_to_have_none_whatever_is_asked_of_it(selection: Selection) -> None:
    with pytest.raises(UsageError, match=re.escape("the cluster has no NPU: start Ray on nodes that have")) as caught:
        Placement(selection, lambda device: False).require(1)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("selection", "refused", "words"),
    [
        (Selection(), [], "the cluster has 4"),
        (Selection(), ["a/0"], "1 more are quarantined"),
        (Selection(nodes=["a"]), [], "eligible are 2"),
        (Selection(spread=Spread.NODES), [], "nodes that can give one are 2"),
    ],
)
def test_more_than_there_are_is_refused_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, selection: Selection, refused: list[str], words: str
) -> None:
    monkeypatch.setattr(connection, "nodes", lambda: {name: Node(name, name, "", npus=2) for name in ("a", "b")})

    with pytest.raises(CapacityError, match=re.escape(words)):
        Placement(selection, refused.__contains__).require(5)
