"""`farm init`: a starter for a kernel of your own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def command(directory: Path) -> None:
    """Write a starter for a kernel of your own into DIR, by default the current directory.

    A small PyPTO kernel with its golden, tolerances, budgets and tests, a workflow and the configuration of a merge
    gate. It passes as it is; the commands to see that are printed. Nothing that is there is overwritten.

    \b
    Example:
      farm init my-kernel
    """
    from farm import scaffold

    for path in scaffold.write(directory):
        click.echo(f"wrote {path}")
    where = "" if directory == Path() else f"cd {shlex.quote(str(directory))}\n"
    click.echo(
        f"\nNow:\n{where}"
        "farm run my_kernel.py --case tiny --devices 1   # right? seconds\n"
        "farm run my_kernel.py --case tiny --case real   # the whole verdict, on three devices\n"
        "farm test . --devices 3                         # its tests, spread over three devices"
    )
