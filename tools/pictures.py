"""Make the pictures of a passed and of a failed pull request: .venv/bin/python -m tools.pictures

`farm init` writes a kernel into a git repository of its own. Its main branch is validated on three simulated devices.
Then a pull request is: it gets a constant wrong, takes smaller tiles, and races. Two of the three faults are edits of
the program. The race is planted by `Racing`, because simulated devices compute one after the other and cannot race.
Both pictures are the top of the page that `farm report --format html` writes, as Chromium shows it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from kernel.platforms.a2a3sim import A2A3Sim
from kernel.platforms.protocol import Execution
from kernel.spec import Kernel, Tensors, Tuning

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
EDITS = {"pypto.mul(product, -1.0)), 1.0)": "pypto.mul(product, -1.0)), 1.25)", "shapes(16, n)": "shapes(2, n)"}
RACES = {(1, 1), (2, 2)}  # (device, how many runs it had before)
_WIDTH = 960  # px


class Racing(A2A3Sim):
    """`a2a3sim`, but two runs of nine end with one other bit, as a race between two cores would leave it."""

    name = "a2a3sim-racing"

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0  # on this process's device

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Compute every output, then flip the lowest bit of one element where it is a race's turn."""
        execution = super().run(kernel, case, tuning, inputs, outputs, device, directory)
        if (device, self.runs) in RACES:
            raw = next(iter(outputs.values())).view(torch.int16).flatten()
            raw[raw.numel() // 2] ^= 1
        self.runs += 1
        return execution


def main() -> None:
    """Run both commits and write both pictures."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        environment = _environment(directory)
        _farm(environment, directory, "init", "kernels")
        kernels = directory / "kernels"
        budgets = kernels / "budgets.toml"
        budgets.write_text(budgets.read_text() + budgets.read_text().replace("[a2a3sim.", f"[{Racing.name}."))
        _commit(kernels, "Write the kernel")
        page = _page(environment, kernels, "passed", "a2a3sim")
        _draw(page, IMAGES / "pull-request-passed.png", "h3:text('Tolerance')")
        program = kernels / "my_kernel.py"
        program.write_text(_edited(program.read_text()))
        _commit(kernels, "Take smaller tiles")
        page = _page(environment, kernels, "failed", Racing.name, "--against", "passed")
        _draw(page, IMAGES / "pull-request-failed.png", "#gates")


def _environment(directory: Path) -> dict[str, str]:
    """The environment of the runs: a store of their own, and `Racing` registered as a package would do it."""
    package = directory / "installed" / "pictures-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: pictures\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[farm.platforms]\n{Racing.name} = tools.pictures:Racing\n")
    paths = os.pathsep.join([str(package.parent), str(ROOT)])
    return {**os.environ, "FARM_HOME": str(directory / "home"), "PYTHONPATH": paths}


def _edited(text: str) -> str:
    for old, new in EDITS.items():
        if old not in text:
            raise SystemExit(f"tools.pictures: the starter has no {old!r} any more; change EDITS")
        text = text.replace(old, new)
    return text


def _commit(repository: Path, message: str) -> None:
    git = ["git", "-c", "user.name=author", "-c", "user.email=author@example.com"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", message]):
        subprocess.run([*git, *arguments], cwd=repository, check=True)


def _page(environment: Mapping[str, str], kernels: Path, run: str, platform: str, *against: str) -> Path:
    """Validate the kernel on three devices; return the page of the run."""
    request = ["my_kernel.py", "--case", "tiny", "--devices", "3", "--platform", platform]
    _farm(environment, kernels, "run", *request, "--run-id", run, "--out", "../runs")
    page = kernels.parent / f"{run}.html"
    _farm(environment, kernels, "report", run, "--format", "html", "--output", str(page), *against)
    return page


def _farm(environment: Mapping[str, str], where: Path, *arguments: str) -> None:
    """Run one command of the farm. Exit code 1 is a verdict too."""
    command = [sys.executable, "-m", "farm", *arguments]
    done = subprocess.run(command, cwd=where, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise SystemExit(f"tools.pictures: farm {' '.join(arguments)} ended with {done.returncode}")


def _draw(page: Path, picture: Path, until: str) -> None:
    """Photograph the page from its top to what the selector `until` finds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": _WIDTH, "height": 900}, color_scheme="light")
        shown.goto(page.as_uri())
        shown.locator("html[data-drawn=yes]").wait_for(state="attached")  # the charts
        box = shown.locator(until).bounding_box()
        height = box["y"] if box else 900
        shown.screenshot(path=picture, clip={"x": 0, "y": 0, "width": _WIDTH, "height": height}, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
