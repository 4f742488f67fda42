"""Profiles written from what a repository's files show: each style, and what is said where something is not shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.errors import UsageError
from farm.scaffold import suite
from farm.scaffold.suite.look import Style
from farm.scaffold.suite.profile_text import quoted
from jobs.records import TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import parse
from kernel.platforms.command import Command

NEVER_RUN = "raise SystemExit('the repository was run')\n"
KERNEL = """
import argparse
from golden.validation import validate

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--platform", choices=["a5", "a5sim"])
    parser.add_argument("-d", "--device", type=int)
    parser.parse_args()
    validate({"y": 1.0}, {"y": 1.0})
    print(f"[RUN] PASS ({0.5:.2f}s)")
"""
VALIDATION = """
def validate(outputs, golden):
    for name in outputs:
        if outputs[name] == golden[name]:
            print(f"[RUN]   '{name}' PASS  shape=()")
        else:
            print(f"[RUN]   '{name}' FAIL  shape=()")
"""
SCRIPTS = {
    "models/a/rope.py": KERNEL,
    "examples/matmul.py": KERNEL,
    "golden/__init__.py": "",
    "golden/validation.py": VALIDATION,
    "tests/test_golden.py": NEVER_RUN,
}
PYTEST = {
    "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['tests/ut']\npython_files = 'test_*.py *_test.py'\n",
    "tests/conftest.py": "def pytest_addoption(parser):\n    parser.addoption('--device')\n" + NEVER_RUN,
    "tests/ut/test_add.py": NEVER_RUN,
    "tests/ut/mul_test.py": NEVER_RUN,
    "setup.py": NEVER_RUN,
}
ASCEND_C = {
    "build.sh": "exit 1\n",
    "add/run.sh": "msprof ./add\n",
    "mul/run.sh": "exit 1\n",
    "add/add.cpp": 'extern "C" __global__ __aicore__ void add() {}\n',
    "add/test_add.py": NEVER_RUN,
}
SHELL = {"build.sh": "exit 1\n", "cases/add.sh": "exit 1\n"}
PLAIN = {"softmax.py": NEVER_RUN + "if __name__ == '__main__':\n    print('done')\n", "notes.txt": "nothing"}


def repository(place: Path, files: dict[str, str]) -> Path:
    root = place / "operators"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def farm(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["suite", *arguments])


@pytest.mark.parametrize(
    ("files", "style", "command", "include", "by", "platforms"),
    [
        (
            SCRIPTS,
            Style.SCRIPTS,
            ["python", "{file}", "-p", "{platform}", "-d", "{device}"],
            ["examples/**/*.py", "models/**/*.py"],
            "lines",
            {"a5": False, "a5sim": True},
        ),
        (
            PYTEST,
            Style.PYTEST,
            ["python", "-m", "pytest", "{file}", "--device", "{device}", "--junitxml", "{workdir}/junit.xml"],
            ["tests/ut/**/test_*.py", "tests/ut/**/*_test.py"],
            "junit",
            {"npu": False},
        ),
        (
            ASCEND_C,
            Style.ASCEND_C,
            ["msprof", "--output={workdir}/prof", "bash", "{file}"],
            ["add/**/run.sh", "mul/**/run.sh"],
            "exit",
            {"npu": False},
        ),
        (PLAIN, Style.SCRIPTS, ["python", "{file}"], ["*.py"], "exit", {"npu": False}),
        (SHELL, Style.ASCEND_C, ["bash", "{file}"], ["build.sh"], "exit", {"npu": False}),
    ],
)
def test_each_style_gives_a_profile_that_is_good(
    files: dict[str, str],
    style: Style,
    command: list[str],
    include: list[str],
    by: str,
    platforms: dict[str, bool],
    tmp_path: Path,
) -> None:
    root, path = repository(tmp_path, files), tmp_path / "mine.toml"

    written = suite.write(root, path, None)

    assert written.style is style
    found = parse(path.read_text(), "mine.toml")
    assert found.command[: len(command)] == command
    assert (found.name, found.files.include, found.results.by) == ("operators", include, by)
    assert {name: each.simulated for name, each in found.platforms.items()} == platforms
    checked = farm("check", str(path), "--root", str(root))
    assert (checked.exit_code, "0 targets" in checked.output) == (0, False)


def test_a_profile_of_scripts_runs_them_as_it_is(tmp_path: Path) -> None:
    root = repository(tmp_path, SCRIPTS)
    profile = suite.write(root, tmp_path / "mine.toml", None).profile
    file = "models/a/rope.py"

    record = run_trial(
        TrialRequest(kernel=profile.name, case=file, platform="a5sim", tuning={}, input_set="own"),
        device=0,
        device_id="node/0",
        repeat=0,
        attempt=0,
        platform=Command(profile, "a5sim", root),
        directory=tmp_path / "trial",
        cache_dir=tmp_path / "cache",
        kernel=HarnessKernel(profile, root, (file,)),
    )

    assert (record.status, record.failure) == (TrialStatus.OK, None)
    assert {name: (claim.passed, len(claim.sha256)) for name, claim in record.claims.items()} == {"y": (True, 64)}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (SCRIPTS, "the function that makes the inputs; write inputs = "),
        (PYTEST, "the names of its platforms; write one table for each"),
        (ASCEND_C, "which arguments build.sh takes, and what it makes; write them into command and outputs"),
        (PLAIN, "lines that name each output with PASS or FAIL; with such, write [lines]"),
        (PLAIN, "how a file takes its device; the leased one is the only one visible"),
    ],
)
def test_what_the_files_do_not_show_is_a_line_that_says_what_to_write(
    files: dict[str, str], told: str, tmp_path: Path
) -> None:
    written = suite.write(repository(tmp_path, files), tmp_path / "mine.toml", None)

    assert any(told in sentence for sentence in written.open)
    assert all(f"# not found: {sentence}" in (tmp_path / "mine.toml").read_text() for sentence in written.open)


def test_a_build_script_is_a_set_up_step_and_a_device_option_of_pytest_is_found_by_its_name(tmp_path: Path) -> None:
    built = suite.write(repository(tmp_path / "a", ASCEND_C), tmp_path / "a.toml", None).profile
    named = {**PYTEST, "tests/conftest.py": PYTEST["tests/conftest.py"].replace("--device", "--npu")}
    tested = suite.write(repository(tmp_path / "b", named), tmp_path / "b.toml", None).profile

    assert [(step.name, step.command, step.outputs) for step in built.setup] == [
        ("build", ["bash", "build.sh"], ["build"])
    ]
    assert tested.command[4:6] == ["--npu", "{device}"]


def test_the_style_can_be_named_and_must_have_something_to_run(tmp_path: Path) -> None:
    root = repository(tmp_path, SCRIPTS)

    assert suite.write(root, tmp_path / "tests.toml", Style.PYTEST).profile.files.include == ["tests/**/test_*.py"]
    with pytest.raises(UsageError, match=r"has no run\.sh, so nothing to run"):
        suite.write(root, tmp_path / "other.toml", Style.ASCEND_C)
    with pytest.raises(UsageError, match="has no Python file with __main__"):
        suite.write(repository(tmp_path / "empty", {"README.txt": ""}), tmp_path / "other.toml", None)
    assert not (tmp_path / "other.toml").exists()


def test_nothing_is_overwritten_and_no_link_is_followed(tmp_path: Path) -> None:
    root = repository(tmp_path, SCRIPTS)
    (root / "models" / "loop").symlink_to(root)
    (tmp_path / "mine.toml").symlink_to(tmp_path / "nowhere.toml")

    refused = farm("init", str(root), "--out", str(tmp_path / "mine.toml"))

    assert refused.exit_code == 2
    assert "is there already; name another file" in refused.output
    assert not (tmp_path / "nowhere.toml").exists()


def test_the_command_says_what_it_wrote_and_what_is_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path, SCRIPTS)
    monkeypatch.chdir(tmp_path)

    shown = farm("init", "operators")
    described = farm("init", str(root), "--out", "second.toml", "--json")

    assert shown.output.startswith("wrote operators.toml: scripts; targets: 2 on a5, 2 on a5sim\nnot found: ")
    assert shown.output.endswith("farm suite check operators.toml --root operators\n")
    assert json.loads(described.output)["targets"] == {"a5": 2, "a5sim": 2}


def test_hostile_files_are_read_and_change_nothing_else(tmp_path: Path) -> None:
    hostile = {
        "deep.py": "(" * 5000 + "__main__",
        "text.py": "\x00__main__",
        "a[b]/k'\".py": KERNEL.replace('"a5"', '"a5\'\\"]\\n[x]"').replace('"--device"', '"--device", "{x}"'),
        "golden/validation.py": VALIDATION.replace("PASS  shape", "PASS ''' \\\" \\\\ \\x7f {{}} shape"),
    }

    written = suite.write(repository(tmp_path, hostile), tmp_path / "mine.toml", None)

    assert written.profile.files.include == ["a[[]b]/**/*.py"]
    assert list(written.profile.platforms) == ["a5sim"]


@pytest.mark.parametrize(
    "text", ["plain", 'a "b"', r"^\d+ 'x'", "'''", "both ' and \" and \\", "\x7f\n\u202e", "it's'"]
)
def test_a_text_comes_back_from_toml_as_it_was(text: str) -> None:
    document = f'command = ["python", "{{file}}", "{{device}}"]\nname = "x"\nsummary = {quoted(text)}\n'
    rest = '[files]\ninclude = ["*"]\n[results]\nby = "exit"\n[platforms.sim]\nsimulated = true\nclock = "host"\n'

    assert parse(document + rest, "x").summary == text
