"""A repository whose files compare tensors with a function of its own, written where a test wants it."""

from __future__ import annotations

from pathlib import Path

from jobs.records import TrialRecord, TrialRequest
from jobs.trial import run_trial
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Profile, parse
from kernel.platforms.command import Command

PROFILE = """
name = "tensors"
summary = "files that compare tensors"
command = ["python", "{file}", "{device}"]

[files]
include = ["*.py"]

[platforms.cpu]
simulated = true
clock = "host"

[environment.set]
PYTHONPATH = "{root}"

[lines]
passed = '^PASS$'
output = '^(?P<name>\\w+): (?P<verdict>\\w+)$'
mode = '^program'

[data.digests]
function = "golden.validation:validate"
argument = "outputs"
inputs = "golden.spec:Spec.create"

[limits]
seconds = 60
"""

VALIDATION = """
def validate(outputs, expected, atol=0.0):
    for name in outputs:
        print(f"{name}: PASS", flush=True)
"""

SPEC = """
import numpy

class Spec:
    def create(self):
        return numpy.random.default_rng().random(64).astype(numpy.float32)
"""

STEADY = """
from golden.spec import Spec
from golden.validation import validate

x = Spec().create()
validate({"y": 2 * x, "z": x.reshape(8, 8)}, {})
print("PASS")
"""


def suite(root: Path, **files: str) -> Path:
    """Write the repository, with `files` by their names, and return its root."""
    (root / "golden").mkdir(parents=True)
    (root / "golden" / "__init__.py").touch()
    (root / "golden" / "validation.py").write_text(VALIDATION)
    (root / "golden" / "spec.py").write_text(SPEC)
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    return root


def profile(*changes: tuple[str, str]) -> Profile:
    """The repository's profile, with texts of it replaced."""
    text = PROFILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text, "tensors.toml")


def trial(root: Path, name: str, place: Path, described: Profile | None = None, **call: str) -> TrialRecord:
    """Run one file of the repository."""
    described = described or profile()
    return run_trial(
        TrialRequest(kernel="tensors", case=f"{name}.py", platform="cpu", tuning=call, input_set="own"),
        device=0,
        device_id="node/0",
        repeat=0,
        attempt=0,
        platform=Command(described, "cpu", root),
        directory=place / "trial",
        cache_dir=place / "cache",
        kernel=HarnessKernel(described, root, (f"{name}.py",)),
    )
