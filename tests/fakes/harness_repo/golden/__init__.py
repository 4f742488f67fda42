"""A stand-in for a golden harness of the field: its lines, files and exit codes, without a compiler or a device."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

LABEL = "ratio_allclose(atol=0.0001, rtol=0.0078125, max_error_ratio=0.0)"


def arguments(*flags: str) -> argparse.Namespace:
    """The command line every kernel file has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--platform", default="a2a3", choices=["a2a3", "a2a3sim", "a5", "a5sim"])
    parser.add_argument("-d", "--device", default="0")
    for flag in flags:
        if flag == "--golden-data":
            parser.add_argument(flag)
        else:
            parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def say(line: str) -> None:
    """One line of the harness."""
    print(line, flush=True)


def begin(program: str) -> Path:
    """Compile: the directory with one-second resolution, and the word "done", which proves nothing."""
    say("[RUN] compile ...")
    work = Path("build_output") / f"{program}_{time.strftime('%Y%m%d_%H%M%S')}"
    work.mkdir(parents=True)
    (work / "kernel_config.py").write_text(
        "from pathlib import Path\n_ROOT = Path(__file__).parent\n"
        'KERNELS = [{"func_id": 0, "name": "qproj", "source": str(_ROOT / "a.cpp"), "core_type": "aic"},\n'
        '           {"func_id": 1, "name": "dequant", "source": str(_ROOT / "b.cpp"), "core_type": "aiv"}]\n'
    )
    say("[RUN] compile done (0.52s)")
    return work


def draw(work: Path, data: str | None = None, save: bool = False) -> float:
    """The input: drawn anew for each run, or the one of an earlier run."""
    value = float((Path(data) / "in" / "x.pt").read_text()) if data else random.random()
    if data:
        say(f"[RUN]   cache hit: {Path(data) / 'in'}")
    if save:
        for part, content in (("in", value), ("out", 2 * value)):
            (work / "data" / part).mkdir(parents=True)
            name = "x.pt" if part == "in" else "y.pt"
            (work / "data" / part / name).write_text(repr(content))
    return value


def keep(work: Path, content: str) -> None:
    """The program's own output, which this harness keeps where it is asked to."""
    (work / "actual").mkdir()
    (work / "actual" / "y.pt").write_text(content)


def lanes(work: Path) -> None:
    """Task records, one of them with a dispatch and one with a finish that were missed."""
    (work / "dfx_outputs").mkdir()
    rows = [(0, 0, 10.0, 30.0, 8.0, 31.0), (1, 1, 32.0, 45.0, 0.0, 46.5), (2, 1, 33.0, 50.0, 9.0, 0.0)]
    tasks = [
        {
            "task_id": task,
            "func_id": function,
            "core_id": 20 * function,
            "core_type": "aiv" if function else "aic",
            "start_time_us": start,
            "end_time_us": end,
            "duration_us": end - start,
            "dispatch_time_us": dispatch,
            "finish_time_us": finish,
        }
        for task, function, start, end, dispatch, finish in rows
    ]
    (work / "dfx_outputs" / "l2_perf_records.json").write_text(json.dumps({"version": 2, "tasks": tasks}))


def ran() -> None:
    """The runtime's stage, whose "done" is printed whatever happened."""
    say("[RUN] runtime ...")
    say("[RUN] runtime done (1.93s)")


def timed(median_us: float) -> None:
    """What the benchmark prints on a device."""
    low, mean, high = median_us - 1.0, median_us + 2.0, median_us + 9.0
    say(f"[RUN]   effective_us (100 rounds) min={low:.1f} median={median_us:.1f} mean={mean:.1f} max={high:.1f}")


def passed(outputs: Sequence[str] = ("y",), note: str = "") -> None:
    """Every output within its tolerance."""
    for name in outputs:
        say(f"[RUN]   '{name}' PASS  shape=(128, 512) dtype=torch.bfloat16 ({LABEL})")
    say(f"[RUN] PASS (33.80s{note})")


def wrong() -> NoReturn:
    """Two of three outputs out of tolerance."""
    say("[RUN]   'kv' PASS  shape=(128, 512) dtype=torch.bfloat16")
    for name in ("qr", "qr_scale"):
        say(f"[RUN]   '{name}' FAIL  shape=(128, 256) dtype=torch.int8 ({LABEL})")
    say("Output(s) does not match golden: ['qr', 'qr_scale']")
    for name, count in (("qr", 12), ("qr_scale", 3)):
        say(f"  '{name}' FAIL ({LABEL})  shape=(128, 256) dtype=torch.int8")
        say(f"    ratio_allclose fail: error_count={count}/32768 (ratio=0.0366%, allowed<=0.0000%, threshold=0 pts)")
        say("    atol=0.0001 rtol=0.0078125")
        say("    max abs diff=0.25 at (3, 7) (tol=0.0001)")
        say("    first 1 mismatches:\n    [775] actual=1.25, expected=1, diff=0.25, tol=0.0001")
    sys.exit(1)


def sleep_for_ever() -> NoReturn:
    """A program that never ends."""
    while True:
        time.sleep(3600)


def detached(task: str) -> None:
    """Start a process that leaves its session and its parent behind and runs for ever."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path(task).write_text(str(os.getpid()))
            sleep_for_ever()
        os._exit(0)
    os.wait()
    while not Path(task).exists() or not Path(task).read_text():
        time.sleep(0.01)
