"""`farm cluster`: several nodes on this machine, to try out runs over many nodes."""

from __future__ import annotations

import json
import re
from typing import Any

import click
from rich.console import Console

from farm.cli import options
from farm.cli.first_line import announced
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.cluster import local
from farm.cluster.local import LocalCluster, LocalNode
from farm.errors import UsageError
from farm.report.console import NamedRows, output_console
from farm.text import counted

_SOC = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # what Ray takes for the value of a label


@click.group()
def command() -> None:
    """Start, show and end a cluster of several nodes on this machine, for trying out.

    Its devices are simulated; everything listens on 127.0.0.1 only, and asks for a token that farm sends by itself.
    """


@command.command()
@click.option("--nodes", type=click.IntRange(1, 64), default=2, show_default=True, help="Nodes; about 0.3 GB each.")
@click.option("--devices-per-node", type=click.IntRange(1, 64), default=4, show_default=True, help="Devices of each.")
@click.option("--soc", default="", metavar="NAME", help="Chip the nodes are labelled with. Default: no label.")
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    default=local.DEFAULT_PORT,
    show_default=True,
    help="Port of the head node.",
)
@options.json_option
@announced("starting a local cluster")
def up(nodes: int, devices_per_node: int, soc: str, port: int, as_json: bool) -> None:
    """Start it, and say how to use it."""
    if soc and not _SOC.fullmatch(soc):
        raise UsageError(f"--soc '{soc}' cannot be a label; use letters, digits, '-', '_' and '.', for example a2a3")
    interrupt_on_sigterm()
    console = Console(quiet=as_json)

    def started(node: LocalNode) -> None:
        console.print(f"node {node.number} is up, {counted(node.devices, 'device')}", highlight=False)
        spinner.update(f"starting node {node.number + 1} of {nodes}")

    with console.status(f"starting node 0 of {nodes}") as spinner:
        cluster = local.up(nodes, devices_per_node, soc, port, started)
    if as_json:
        click.echo(json.dumps(_facts(cluster), indent=2))
        return
    click.echo(f"{counted(nodes * devices_per_node, 'device')} at {cluster.address}; try\n")
    click.echo(f"  farm run --address {cluster.address} --devices {min(3, nodes * devices_per_node)}")
    click.echo("  farm cluster down")


@command.command()
@announced("ending the local cluster")
def down() -> None:
    """End it, and nothing else that runs on this machine."""
    with Console().status("ending the nodes"):
        cluster = local.down()
    click.echo("no local cluster is up" if cluster is None else f"the local cluster at {cluster.address} has ended")


@command.command()
@options.json_option
@announced("asking the cluster")
def status(as_json: bool) -> None:
    """Show its nodes, their devices, and which are alive."""
    cluster = local.read()
    if as_json:
        click.echo(json.dumps(_facts(cluster), indent=2))
    elif cluster is None:
        click.echo("no local cluster is up; `farm cluster up` starts one")
    elif not cluster.nodes:
        click.echo(f"the local cluster at {cluster.address} is being started, or its start was killed")
    else:
        table = NamedRows()
        for heading in ("node", "devices", "chip", "state", "processes"):
            table.add_column(heading)
        for node in _facts(cluster)["nodes"]:
            pids = " ".join(map(str, node["pids"]))
            state = "alive" if node["alive"] else "dead"
            table.add_row(str(node["node"]), str(node["devices"]), node["soc"] or "-", state, pids)
        output_console().print(table)
        alive = [node for node in cluster.nodes if node.alive]
        devices = counted(sum(node.devices for node in alive), "device")
        click.echo(f"{cluster.address}: {len(alive)} of {len(cluster.nodes)} nodes alive, {devices}")


def _facts(cluster: LocalCluster | None) -> dict[str, Any]:
    if cluster is None:
        return {"address": None, "nodes": []}
    nodes = [
        {
            "node": node.number,
            "devices": node.devices,
            "soc": cluster.soc,
            "alive": node.alive,
            "pids": [process.pid for process in node.processes],
        }
        for node in cluster.nodes
    ]
    return {"address": cluster.address, "nodes": nodes}
