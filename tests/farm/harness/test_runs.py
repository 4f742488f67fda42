"""A whole repository through the platform `command`, on devices that are threads: the right verdict for each file.

`test_on_ray.py` has what only workers of a cluster show.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import junitparser
import pytest

from farm.errors import UsageError
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.harness.file_selection import discover
from farm.model.run import FileStatus, GateStatus, RunRecord, RunRequest, Verdict
from farm.model.timeouts import Timeouts
from farm.validation import resume, suite
from farm.validation.suite import run
from farm.validation.suite_state import SuiteRequest
from jobs.records import TrialRecord
from kernel.harness.profile import Profile
from kernel.harness.profile_results import PerFile
from kernel.harness.profiles import find
from tests.fakes.harness import ROOT, keeping, shipped
from tests.farm.thread_lease import without_ray
from tests.processes import running_for_this_test

pytestmark = pytest.mark.usefixtures("at_home", "on_threads")

VERDICTS = {
    "passes": (FileStatus.PASSED, "2 outputs in 1 trial"),
    "two_modes": (FileStatus.PASSED, "2 outputs"),
    "two_cards": (FileStatus.PASSED, "1 output"),
    "bad_text": (FileStatus.PASSED, "1 output"),
    "floods": (FileStatus.PASSED, "1 output"),
    "leaves_orphans": (FileStatus.PASSED, "1 output"),
    "wrong_numbers": (FileStatus.FAILED, "tolerance: output qr: 12 of 32768 elements are wrong"),
    "tile_too_big": (FileStatus.FAILED, "compile: Function 'qproj_dequant': Vec buffer usage"),
    "guard": (FileStatus.FAILED, "tuning: AssertionError"),
    "device_fault": (FileStatus.FAILED, "scheduler-102"),
    "stalls": (FileStatus.FAILED, "device-507014 in case models/stalls.py on 2 devices"),
    "hangs": (FileStatus.FAILED, "hang in case models/hangs.py on 2 devices"),
    "fills_disk": (FileStatus.FAILED, "disk-quota"),
    "silent_failure": (FileStatus.FAILED, "killed in case models/silent_failure.py on 2 devices"),
    "no_pass_line": (FileStatus.ERRORED, "nothing-measured: exit code 0 without a pass line"),
    "validation_skipped": (FileStatus.ERRORED, "nothing-measured: the harness compared nothing"),
    "compile_only": (FileStatus.ERRORED, "nothing-measured: a pass line, but no output was compared"),
    "silent": (FileStatus.ERRORED, "nothing-measured: exit code 0"),
    "no_sim": (FileStatus.SKIPPED, "marked `# ci: no-sim`"),
}


@pytest.fixture
def on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that are threads."""
    without_ray(monkeypatch)


def validate(
    profile: Profile,
    names: Collection[str],
    out: Path,
    *,
    devices: int = 3,
    repeats: int = 1,
    platform: str = "a2a3sim",
    root: Path = ROOT,
    observer: Observer | None = None,
) -> RunRecord:
    found = discover(root, [f"models/{name}.py" for name in names], profile, platform)
    request = RunRequest(
        kernel=profile.name,
        cases=list(found.files),
        platform=platform,
        devices=devices,
        repeats=repeats,
        input_set="own",
        seed=0,
    )
    return run(
        SuiteRequest(profile, profile.name, root, found, "named", request),
        SessionOptions(out=out, timeouts=Timeouts(trial_s=700)),
        observer,
    )


def statuses(record: RunRecord) -> dict[str, FileStatus]:
    assert record.harness is not None
    return {Path(file.file).stem: file.status for file in record.harness.files}


def test_every_failure_class_of_the_fixture_repository_gets_its_verdict(tmp_path: Path) -> None:
    profile = shipped(seconds=120.0, stop_seconds=0.2, disk_mb=64)
    hangs = PerFile(files=["models/hangs.py"], seconds=3.0)

    record = validate(profile.model_copy(update={"per_file": [hangs, *profile.per_file]}), VERDICTS, tmp_path)

    assert record.harness is not None
    told = {Path(file.file).stem: file for file in record.harness.files}
    assert {name: file.status for name, file in told.items()} == {
        name: status for name, (status, _) in VERDICTS.items()
    }
    for name, (_, reason) in VERDICTS.items():
        assert told[name].reason.startswith(reason), name
    assert record.verdict is Verdict.FAILED
    assert record.reason.startswith("6 passed, 8 failed, 4 errored, 1 skipped of 19 files")
    assert len({trial.device for trial in record.trials}) == 3
    assert {judged.name: judged.status for judged in record.gates} == {
        "tolerance": GateStatus.FAILED,
        "determinism": GateStatus.NOT_APPLICABLE,
        "budget": GateStatus.NOT_APPLICABLE,
    }
    assert running_for_this_test() == []
    assert not list((tmp_path / record.run_id).rglob("build_output"))
    _junit_agrees(record, tmp_path / record.run_id / "junit.xml")


def _junit_agrees(record: RunRecord, path: Path) -> None:
    suites = list(junitparser.JUnitXml.fromfile(str(path)))
    cases = {Path(case.name).stem: case for suite in suites for case in suite}
    kinds = {
        FileStatus.PASSED: [],
        FileStatus.FAILED: [junitparser.Failure],
        FileStatus.ERRORED: [junitparser.Error],
        FileStatus.SKIPPED: [junitparser.Skipped],
    }
    assert [suite.name for suite in suites] == ["models"]
    assert {name: [type(each) for each in case.result] for name, case in cases.items()} == {
        name: kinds[status] for name, status in statuses(record).items()
    }


def test_a_trial_that_takes_two_devices_holds_two_at_once(tmp_path: Path) -> None:
    record = validate(shipped(seconds=60.0), ["two_cards", "passes"], tmp_path, devices=2, repeats=2)

    assert record.verdict is Verdict.PASSED
    double = [trial for trial in record.trials if trial.case == "models/two_cards.py"]
    assert [len({trial.device, *trial.beside}) for trial in double] == [2, 2]
    assert all(not trial.beside for trial in record.trials if trial.case == "models/passes.py")


def test_more_devices_than_are_leased_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a file takes 2 devices at once, --devices 1 are fewer"):
        validate(shipped(seconds=60.0), ["two_cards"], tmp_path, devices=1)
    assert not list(tmp_path.iterdir())


def test_with_frozen_data_and_kept_outputs_determinism_is_judged(tmp_path: Path) -> None:
    record = validate(keeping(seconds=60.0), ["steady", "racing", "passes"], tmp_path, repeats=2)

    assert statuses(record) == {
        "steady": FileStatus.PASSED,
        "passes": FileStatus.PASSED,
        "racing": FileStatus.FAILED,
    }
    determinism = next(judged for judged in record.gates if judged.name == "determinism")
    about = {(finding.case, finding.status) for finding in determinism.findings}
    assert ("models/passes.py", GateStatus.NOT_APPLICABLE) in about
    assert not [finding for finding in determinism.findings if finding.case == "models/steady.py"]
    steady = [trial for trial in record.trials if trial.case == "models/steady.py"]
    assert len({trial.claims["y"].sha256 for trial in steady}) == 1
    assert not (tmp_path / record.run_id / "data").exists()


@dataclass
class Interrupts(Observer):
    """Ctrl-C once `after` trials have ended."""

    after: int
    seen: int = 0

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        self.seen += 1
        if self.seen == self.after:
            raise KeyboardInterrupt


def repository(place: Path) -> Path:
    """The fixture as a repository of its own, whose work tree is its commit."""
    root = place / "repository"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("__pycache__", "build_output"))
    (root / ".gitignore").write_text("__pycache__/\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "files"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def resumed(record: RunRecord, out: Path) -> RunRecord:
    resume.require(record)
    options = SessionOptions(out=out, timeouts=Timeouts(trial_s=700))
    return run(suite.of_record(record), options, resumed=record)


def test_an_interrupted_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    root, profile = repository(tmp_path), find("pypto-lib")
    names = ["passes", "steady", "wrong_numbers", "no_sim"]
    record = validate(profile, names, tmp_path, devices=1, root=root, observer=Interrupts(2))
    assert (record.verdict, record.reason, len(record.trials)) == (Verdict.ERRORED, "interrupted", 2)

    done = resumed(record, tmp_path)

    assert (done.verdict, done.resumed_from) == (Verdict.FAILED, record.run_id)
    assert statuses(done) == {
        "passes": FileStatus.PASSED,
        "steady": FileStatus.PASSED,
        "wrong_numbers": FileStatus.FAILED,
        "no_sim": FileStatus.SKIPPED,
    }
    assert [trial.host_s for trial in done.trials[:2]] == [trial.host_s for trial in record.trials]
    assert len(done.trials) == 3


def test_after_a_change_every_file_is_run_anew(tmp_path: Path) -> None:
    root = repository(tmp_path)
    record = validate(find("pypto-lib"), ["passes", "steady"], tmp_path, devices=1, root=root, observer=Interrupts(1))
    (root / "models" / "new_import.py").write_text("")

    done = resumed(record, tmp_path)

    assert (done.verdict, len(record.trials), len(done.trials)) == (Verdict.PASSED, 1, 2)
    assert not {trial.host_s for trial in record.trials} & {trial.host_s for trial in done.trials}
