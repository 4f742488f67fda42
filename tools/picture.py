"""Draw the summary of a run as an SVG, for a page: python3 -m tools.picture RUN/report.json FILE.svg

Run it with `.venv/bin/python`. The picture names no font of a server, so it looks the same without a network.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from farm.model import serialization
from farm.report.run.terminal import summary

COLUMNS = 88


def main(report: Path, picture: Path) -> None:
    """Write `picture` from `report`."""
    record = serialization.read(report)
    command = f"$ farm run --devices {record.request.devices}"
    if record.cases != ["flash-s2"]:
        command += "".join(f" --case {case}" for case in record.cases)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(command, "bold"))
    console.print(summary(record.model_copy(update={"directory": f"farm-runs/{record.run_id}"})))
    drawn = console.export_svg(title="farm run")
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
