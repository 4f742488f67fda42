"""A sweep over the files of a suite, on threads as devices: the same inputs everywhere, and whose bits are odd."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.model.run import Verdict
from farm.model.sweep import Kind, SweepRequest
from farm.model.timeouts import Timeouts
from farm.sweep import suite_subject
from farm.sweep.workflow import SweepOptions, resume, sweep
from tests.farm.thread_lease import without_ray

pytestmark = pytest.mark.usefixtures("at_home", "on_threads")

PROFILE = f"""
name = "mine"
summary = "made for a test"
command = ["{sys.executable}", "{{file}}", "{{device}}", "{{seed}}", "{{workdir}}"]
files = {{ include = ["*.py"] }}
platforms = {{ model = {{ simulated = true, clock = "host" }} }}
lines = {{ passed = '^PASS$', output = "^(?P<name>out) (?P<verdict>PASS)$" }}
data = {{ seeded = true, outputs = ["*.bin"] }}
limits = {{ seconds = 60 }}
"""
SAME = "import pathlib, sys\npathlib.Path(sys.argv[3], 'out.bin').write_text(sys.argv[2])\nprint('out PASS\\nPASS')\n"
OWN = SAME.replace("argv[2]", "argv[1]")
TIMEOUTS = Timeouts(trial_s=700)


@pytest.fixture
def on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that are threads."""
    without_ray(monkeypatch)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    (place / "same.py").write_text(SAME)
    (place / "own.py").write_text(OWN)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(place), *words], check=True, env=environment)
    (tmp_path / "mine.toml").write_text(PROFILE)
    return place


def asked(repository: Path, profile: str = "mine.toml", *files: str) -> SweepRequest:
    return suite_subject.request(
        str(repository.parent / profile),
        repository,
        files,
        "model",
        seeds=[0, 1],
        repeats=2,
        devices=3,
        timeouts=TIMEOUTS,
    )


def test_bits_of_every_file_are_compared_over_devices(repository: Path, tmp_path: Path) -> None:
    record = sweep(asked(repository), SweepOptions(out=tmp_path, timeouts=TIMEOUTS))

    assert record.verdict is Verdict.FAILED
    assert {(finding.kind, place.case) for finding in record.findings for place in finding.places} == {
        (Kind.DEPENDS_ON_DEVICE, "own.py")
    }
    assert all(len(cell.sha256) == 1 for cell in record.cells)
    same = {(cell.seed, digest) for cell in record.cells if cell.case == "same.py" for digest in cell.sha256.values()}
    assert len(same) == 2, "each seed has inputs, and so bits, of its own"
    assert set(record.outputs) == {"own.py", "same.py"}
    assert all(record.outputs.values())

    again = resume(Path(record.directory), SweepOptions(out=tmp_path, timeouts=TIMEOUTS))
    assert len(again.cells) == len(record.cells)
    (repository / "same.py").write_text(SAME + "\n")
    with pytest.raises(UsageError, match=r"nobody knows whether it is the same|measured another program"):
        resume(Path(record.directory), SweepOptions(out=tmp_path, timeouts=TIMEOUTS))


@pytest.mark.parametrize("data", ["", "data = { outputs = ['*.bin'] }\n", "data = { seeded = true }\n"])
def test_a_suite_whose_bits_prove_nothing_is_refused(data: str, repository: Path) -> None:
    lines = [line for line in PROFILE.splitlines(keepends=True) if not line.startswith("data")]
    (repository.parent / "bare.toml").write_text("".join(lines) + data)

    with pytest.raises(UsageError, match="could compare nothing"):
        asked(repository, "bare.toml")
