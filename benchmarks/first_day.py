"""The first hour on a real NPU: what to check, which forms of the kernel to compare, and one file to send back.

    python benchmarks/first_day.py                                      # on a device host: a2a3, flash-s2
    python benchmarks/first_day.py --platform a2a3sim --case tiny       # a dry run of the script itself, no NPU

Nothing of `a2a3` has run on hardware yet, so each step is a question. The script goes on after a step that fails: a
line with LOOK says where to look. It ends with an archive (`first-day-HOST-DATE.tar.gz`): `first-day.json` with every
answer, what `npu-smi` prints, and the log and timeline of each trial. Send that.

Compared are the forms of `kernel.qkv_proj_rope.tuning.MODEL_TRICKS`, which are fast in PyPTO's cost model for reasons
that silicon may not share, and close choices that the model prices alike. Each runs in turn with the best tuning on the
same device, round by round, so that a drift of the device is in both. A ratio below 1 is faster than that tuning.
"""

from __future__ import annotations

import argparse
import json
import platform as host
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

if __name__ == "__main__":
    # A script's own directory comes first on its path, where its neighbour would be taken for the package `kernel`.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.first_day_checks import Answer, questions
from farm import paths
from farm.doctor import Diagnosis, diagnose
from farm.source.provenance import commit_of
from jobs.records import TrialRecord, TrialRequest
from jobs.trial import run_trial
from kernel.errors import KernelLayerError
from kernel.platforms.protocol import Platform
from kernel.qkv_proj_rope.tuning import MODEL_TRICKS
from kernel.registry import find_kernel, find_platform
from kernel.spec import Kernel

VARIANTS: dict[str, dict[str, str]] = {
    **{f"{switch} off": {switch: "off"} for switch in MODEL_TRICKS},
    "S off": {"attn_norm_partials": "1"},  # the model prices both forms of S and U alike
    "U off": {"qr_norm_partials": "1"},
    "exact q-proj sums": {"q_staging": "int32", "head_load_tiles": "1"},
    "one head tile a copy": {"head_load_tiles": "1"},
    "q-proj in halves": {"q_proj_merge": "3"},
    "8 tokens a qr-norm task": {"qr_norm_rows": "8"},
    "smaller K tiles": {"q_proj_k_l0": "128", "proj_k_l0": "128", "proj_k_stages": "4"},
}
NPU_SMI = (["info"], ["info", "-m"], *(["info", "-t", topic, "-i", "0"] for topic in ("board", "health", "usages")))
_DEVICE = "first-day/0"


@dataclass(frozen=True, slots=True)
class Day:
    """What is asked of which device, and where the answers go."""

    kernel: Kernel
    platform: Platform
    case: str
    device: int
    repeats: int
    diagnosis: Diagnosis
    until: float  # time.monotonic() after which no further variant begins
    directory: Path

    def trial(self, name: str, number: int, tuning: dict[str, str]) -> TrialRecord:
        """One trial with its log and timeline in a directory of its own."""
        request = TrialRequest(
            kernel=self.kernel.name,
            case=self.case,
            platform=self.platform.name,
            tuning=tuning,
            input_set=next(iter(self.kernel.input_sets)),
        )
        place = self.directory / "trials" / f"{name.replace(' ', '-')}-{number}"
        return run_trial(
            request, self.device, _DEVICE, number, 0, self.platform, place, paths.cache(), kernel=self.kernel
        )


def main() -> int:
    """Read the options, ask everything, leave the archive; 1 where something needs a look."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--platform", default="a2a3")
    parser.add_argument("--case", default="flash-s2")
    parser.add_argument("--device", type=int, default=0, help="index of the device on this machine")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--minutes", type=float, default=60.0, help="no comparison begins after that")
    parser.add_argument("--only", action="append", metavar="VARIANT", choices=list(VARIANTS), help="compare only this")
    parser.add_argument("--out", type=Path, default=Path(), help="directory of the archive")
    options = parser.parse_args()
    variants = {name: VARIANTS[name] for name in options.only} if options.only else VARIANTS
    with tempfile.TemporaryDirectory(prefix="first-day-") as place:
        try:
            kernel, platform = find_kernel("qkv_proj_rope"), find_platform(options.platform)
            kernel.tuning(options.case, {})
        except KernelLayerError as error:
            sys.exit(f"first day: {error}")
        until = time.monotonic() + 60 * options.minutes
        diagnosis = diagnose(options.platform)
        day = Day(kernel, platform, options.case, options.device, options.repeats, diagnosis, until, Path(place))
        told = ask(day, variants, print)
        archive = pack(told, day.directory, options.out)
    print(f"\nSend back {archive} ({archive.stat().st_size / 1e3:.0f} kB).")
    return 0 if all(answer["ok"] for answer in told["checks"]) else 1


def ask(day: Day, variants: dict[str, dict[str, str]], say: Callable[[str], object]) -> dict[str, Any]:
    """Every answer as plain data for JSON; each is a line for `say` as it comes."""
    begun = datetime.now(timezone.utc).isoformat(timespec="seconds")
    _keep_npu_smi(day.directory)
    trials = [day.trial("best", number, {}) for number in range(day.repeats)]
    checks = []
    asked = questions(day.kernel, day.platform, day.case, day.device, day.diagnosis, trials, day.directory)
    for answer in asked:
        say(_line(answer))
        checks.append(answer.as_dict())
    compared = {}
    for name, tuning in variants.items():
        found = _compared(day, name, tuning)
        say(_row(name, found))
        compared[name] = {"tuning": tuning, **found}
    return {
        "format": "1.0",
        "begun": begun,
        "host": host.node(),
        "commit": commit_of(Path(__file__).parent),
        "python": host.python_version(),
        "platform": day.platform.name,
        "kernel": day.kernel.name,
        "case": day.case,
        "doctor": day.diagnosis.model_dump(mode="json"),
        "checks": checks,
        "best": [trial.model_dump(mode="json") for trial in trials],
        "model_tricks": dict(MODEL_TRICKS),
        "variants": compared,
    }


def pack(told: dict[str, Any], directory: Path, out: Path) -> Path:
    """Write `first-day.json` into `directory`, and all of it into one archive in `out`."""
    (directory / "first-day.json").write_text(json.dumps(told, indent=1) + "\n")
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"first-day-{told['host']}-{told['begun'][:10]}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(directory, arcname="first-day")
    return archive


def _compared(day: Day, name: str, tuning: dict[str, str]) -> dict[str, Any]:
    """The variant in turn with the best tuning: times, their ratio, and whether its numbers are right."""
    if time.monotonic() > day.until:
        return {"problem": "not reached: the time was up"}
    try:
        day.kernel.tuning(day.case, tuning)
    except KernelLayerError as error:
        return {"problem": f"refused: {' '.join(str(error).split())}"}
    pairs = [
        (day.trial(f"{name} against", number, {}), day.trial(name, number, tuning)) for number in range(day.repeats)
    ]
    failed = [trial.failure.message for pair in pairs for trial in pair if trial.failure is not None]
    if failed:
        return {"problem": f"failed: {failed[0]}"}
    best, other = ([trial.wall_us for trial in side] for side in zip(*pairs, strict=True))
    ratios = [theirs / ours for ours, theirs in zip(best, other, strict=True) if ours and theirs]
    if not ratios:
        return {"problem": "no trial has a time"}
    return {
        "best_us": best,
        "us": other,
        "ratio": median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "wrong": sorted(set(_wrong(pair[1] for pair in pairs))),
        "another_program": pairs[0][0].fingerprint != pairs[0][1].fingerprint,
    }


def _wrong(trials: Iterator[TrialRecord]) -> Iterator[str]:
    for trial in trials:
        yield from (n for n, output in trial.outputs.items() if output.tolerance and not output.tolerance.passed)


def _keep_npu_smi(directory: Path) -> None:
    """What the tool prints, word by word: the farm's reading of it has seen published examples only."""
    if shutil.which("npu-smi") is None:
        return
    for words in NPU_SMI:
        done = subprocess.run(["npu-smi", *words], capture_output=True, text=True, timeout=60, check=False)
        name = "-".join(["npu-smi", *(word.strip("-") for word in words)])
        (directory / f"{name}.txt").write_text(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")


def _line(answer: Answer) -> str:
    mark = "ok  " if answer.ok else "LOOK"
    return f"{mark} {answer.question:34} {answer.found}" + (f"\n     {answer.look}" if not answer.ok else "")


def _row(name: str, found: dict[str, Any]) -> str:
    if "problem" in found:
        return f"     {name:34} {found['problem']}"
    numbers = f", wrong: {', '.join(found['wrong'])}" if found["wrong"] else ""
    same = "" if found["another_program"] else ", the same program"
    spread = f"{found['ratio_low']:.3f} to {found['ratio_high']:.3f}"
    return f"     {name:34} {found['ratio']:.3f} of the best tuning's time ({spread}){numbers}{same}"


if __name__ == "__main__":
    sys.exit(main())
