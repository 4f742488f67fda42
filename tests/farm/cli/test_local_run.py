"""`farm run --local`, as a person types it: without Ray, without a store, and again at each save."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.model.run import GateStatus, RunRecord, Verdict
from tests.fakes.installed import install

# Ray cannot be imported, and every process that loads the kernel leaves its id.
FARM = "import sys; sys.modules['ray'] = None; from farm.cli.app import main; main()"
KERNEL = """
import os
from pathlib import Path
from tests.fakes.small_kernel import SmallKernel
with Path(__file__).with_name("loaded-in").open("a") as file:
    print(os.getpid(), file=file)
class Mine(SmallKernel):
    def sources(self): return (Path(__file__),)
    def budgets(self): return Path(__file__).with_name("budgets.toml")
KERNEL = Mine()
"""
WRONG = "Mine.golden = lambda self, case, inputs: {}\n"
SAVED = "after the save"
WATCHES = "Ctrl-C ends"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a kernel, and the platforms of the tests."""
    install(
        tmp_path / "site", monkeypatch, {"fake": "tests.fakes.platforms:Honest", "noisy": "tests.fakes.platforms:Noisy"}
    )
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(KERNEL)
    (tmp_path / "budgets.toml").touch()
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", FARM, "run", "mine.py", "--local", "--platform", "fake", *words]


def farm(*words: str) -> Result:
    return CliRunner().invoke(main, ["run", *words])


def test_a_local_run_is_a_run_with_its_gates_and_reports_and_leaves_no_store(here: Path) -> None:
    process = subprocess.Popen(command("--json", "--repeats", "2"), stdout=subprocess.PIPE, text=True)
    printed, _ = process.communicate(timeout=300)
    record = RunRecord.model_validate_json(printed)

    assert (process.returncode, record.verdict) == (0, Verdict.PASSED)
    assert (record.request.local, record.request.devices, len(record.trials)) == (True, 1, 2)
    assert [device.id for device in record.devices] == ["local/0"]
    statuses = {gate.name: gate.status for gate in record.gates}
    assert (statuses["tolerance"], statuses["determinism"]) == (GateStatus.PASSED, GateStatus.NOT_APPLICABLE)
    assert "not applicable: determinism" in record.reason
    files = {path.name for path in Path(record.directory).iterdir()}
    assert files >= {"report.json", "junit.xml", "report.md", "report.html", "traces", "logs"}
    assert not list(here.rglob("*.sqlite*"))
    loaded_in = set(map(int, (here / "loaded-in").read_text().split()))
    assert process.pid not in loaded_in, "the process that decides has loaded the kernel"
    assert record.devices[0].pid in loaded_in
    assert not [pid for pid in loaded_in if psutil.pid_exists(pid)]


@pytest.fixture
def watching(here: Path) -> Iterator[subprocess.Popen[str]]:
    """A watch in a terminal of its own, so that the tests do not get its Ctrl-C."""
    process = subprocess.Popen(
        command("--watch"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def said_until(process: subprocess.Popen[str], words: str) -> str:
    """What it says up to the line with `words`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"it ended without '{words}': {''.join(lines)}")


def test_a_watch_runs_again_at_each_save_and_ctrl_c_ends_it_and_all_its_processes(
    here: Path, watching: subprocess.Popen[str]
) -> None:
    first = said_until(watching, WATCHES)
    family = psutil.Process(watching.pid).children(recursive=True)
    (here / "mine.py").write_text(KERNEL + WRONG)
    wrong = said_until(watching, WATCHES)
    (here / "mine.py").write_text(KERNEL)
    right = said_until(watching, WATCHES)
    family += psutil.Process(watching.pid).children(recursive=True)
    watching.send_signal(signal.SIGINT)

    assert "✓ passed (local)" in first
    assert SAVED not in first
    assert "golden() of case 'small' lacks y, rounded" in wrong
    assert SAVED in wrong
    assert "✓ passed (local)" in right
    assert SAVED in right
    assert watching.wait(60) == 0
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert gone
    assert not alive
    assert len(list((here / "farm-runs").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--watch"], "--watch runs on this machine at each save; give --local as well"),
        (["--local", "--devices", "2"], "leave out --devices"),
        (["--local", "--address", "head:6379", "--wait", "9"], "leave out --address, --wait"),
        (["--local", "--source", ".", "--base", "main"], "leave out --source, --base"),
        (["--local", "--priority", "nightly"], "leave out --priority"),
        (["--local", "--device", "n0/0"], "leave out --device"),
        (["--local", "--platform", "noisy"], "--local is for simulated platforms, and the devices of noisy are leased"),
        (["--local", "--platform", "absent"], "unknown platform 'absent'"),
    ],
)
def test_what_a_local_run_cannot_do_is_refused_in_one_line(here: Path, words: list[str], complaint: str) -> None:
    result = farm("mine.py", *words)

    assert result.exit_code == 2, result.output
    assert complaint in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (here / "farm-runs").exists()
    assert not (here / "loaded-in").exists()


@pytest.mark.parametrize(
    ("name", "complaint"), [("absent.py", "there is no file"), ("absent", "unknown kernel 'absent'")]
)
def test_a_local_run_of_what_does_not_exist_is_refused(here: Path, name: str, complaint: str) -> None:
    result = farm(name, "--local", "--platform", "fake")

    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
