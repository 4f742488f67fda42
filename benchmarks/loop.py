"""How long the author of a kernel waits: from a save to the verdict of `farm run --local --watch`.

    python benchmarks/loop.py --case tiny --saves 5

A kernel file that is the installed kernel under another name is saved again and again. The time is taken from the end
of each save to the line that follows the verdict. The first run, which loads everything, is not counted. Between two
saves the watch is left alone for a while, as an author leaves it, so that its next worker is ready.

On a machine that does something else the times say nothing: the last line is then "busy machine", and they are not to
be quoted (`benchmarks.machine`).
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    # A script's own directory comes first on its path, where its neighbour would be taken for the package `kernel`.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.machine import watched
from farm.process import installation

WATCHES = "Ctrl-C ends"  # in the line that follows each verdict
KERNEL = """
from pathlib import Path
from kernel.registry import find_kernel
_INSTALLED = find_kernel({kernel!r})
class Saved(type(_INSTALLED)):
    def sources(self): return (Path(__file__), *super().sources())
KERNEL = Saved()
"""


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kernel", default="qkv_proj_rope")
    parser.add_argument("--case", default="tiny")
    parser.add_argument("--saves", type=int, default=5)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between a verdict and the next save")
    options = parser.parse_args()
    with watched() as watch, tempfile.TemporaryDirectory(prefix="loop-") as directory:
        waits = list(measured(Path(directory), options.kernel, options.case, options.saves, options.pause))
    for number, wait_s in enumerate(waits):
        print(f"save {number}: {wait_s:.2f} s")
    print(f"median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s, of {len(waits)} saves")
    print(watch.machine.verdict)


def measured(directory: Path, kernel: str, case: str, saves: int, pause_s: float) -> Iterator[float]:
    """Seconds from each save to its verdict."""
    file = directory / "saved.py"
    text = KERNEL.format(kernel=kernel)
    file.write_text(text)
    words = ["run", str(file), "--local", "--watch", "--case", case, "--out", str(directory / "runs")]
    watch = subprocess.Popen(
        installation.module_command("farm", *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _until_verdict(watch)
        for number in range(saves):
            time.sleep(pause_s)
            file.write_text(f"{text}# save {number}\n")
            saved = time.monotonic()
            _until_verdict(watch)
            yield time.monotonic() - saved
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(60)


def _until_verdict(watch: subprocess.Popen[str]) -> None:
    assert watch.stderr is not None
    for line in watch.stderr:
        if WATCHES in line:
            return
        print(line, end="", file=sys.stderr)
    raise RuntimeError(f"the watch ended with exit code {watch.wait()}")


if __name__ == "__main__":
    main()
