"""`farm devices`: which devices the cluster has."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from farm.cli import options
from kernel.registry import find_platform


@click.command()
@options.platform_option
@click.option("--address", help="Ray cluster to ask. Default: what a local one would have.")
@options.json_option
def command(platform: str, address: str | None, as_json: bool) -> None:
    """List the devices of the cluster: node, index, chip.

    Without --address a local cluster is started for the question and ended again.
    """
    from farm import cluster, preflight

    found = find_platform(platform)
    preflight.require(found)
    with cluster.connected(address, simulated=not found.noisy):
        free = cluster.free_count()
        rows = [
            {"id": f"{node.name}/{index}", "node": node.name, "index": index, "soc": found.soc(index)}
            for node in cluster.nodes().values()
            for index in range(node.npus)
        ]
    if as_json:
        click.echo(json.dumps({"platform": platform, "devices": rows, "free": free}, indent=2))
        return
    table = Table("device", "node", "index", "chip", box=None)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    click.echo(f"{len(rows)} devices, {free} free")
