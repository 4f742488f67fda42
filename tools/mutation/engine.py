"""Run mutmut in a scratch copy: python -m tools.mutation.engine SCRATCH PROCESSES

A process of its own, since mutmut changes the process it runs in: its import path, its directory, its signals. What
came of each mutant stays in the scratch copy, also where this process is interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Make the mutants and try them one after another, until there is none left or SIGINT comes."""
    scratch, processes = sys.argv[1:]
    # The tests must find the copy that mutmut made, so the directory this module came from must not be searched.
    here = Path(__file__).resolve().parents[2]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    os.chdir(scratch)
    import click
    from mutmut.__main__ import cli

    from tools.mutation import operators

    operators.install()
    try:
        cli(["run", "--max-children", processes], standalone_mode=False)
    except click.Abort:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
