"""A kernel that is not the installation's own ends, blocks or floods no command: one line, and never exit code 0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.cli.exit_codes import ExitCode
from farm.testing.device_pool import request_of
from kernel.errors import KernelLoadError
from tests.fakes.installed import install

pytestmark = pytest.mark.usefixtures("at_home")

ENDS = ("import os; os._exit(0)", "ended with exit code 0 while it was loaded")
RAISES = ("raise BaseException('not so', chr(27) + '[31m')", "ended with exit code 1 while it was loaded")
PRINTS = ("import os\nwhile True: os.write(1, bytes(1 << 20))", "MB written to printed")
LOOPS = ("while True: pass", "stopped while it was loaded: no answer within 3 s")
TENSORS = ("--inputs", "in.safetensors", "--outputs", "out.safetensors")
COMMANDS = {
    "run": ["run"],
    "show": ["kernel", "show"],
    "verify": ["kernel", "verify"],
    "exec": ["kernel", "exec", *TENSORS],
    "tune": ["tune"],
    "ledger": ["ledger"],
    "budgets": ["budgets", "check"],
    "trends": ["trends"],
    "sweep": ["sweep"],
}

WAYS = ["show", "tune"]  # the two ways to ask: one question, and many


def refused(directory: Path, command: list[str], body: str) -> Result:
    file = directory / "mine.py"
    file.write_text(body)
    return CliRunner().invoke(main, [*command, str(file)])


def assert_one_line(result: Result, words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert words in line
    assert line.isprintable()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_loads_a_hostile_file_in_its_own_process(command: str, tmp_path: Path) -> None:
    assert_one_line(refused(tmp_path, COMMANDS[command], ENDS[0]), ENDS[1])


@pytest.mark.parametrize(("body", "words"), [RAISES, PRINTS], ids=["raises", "prints"])
@pytest.mark.parametrize("command", WAYS)
def test_however_a_hostile_file_ends_it_is_one_line(command: str, body: str, words: str, tmp_path: Path) -> None:
    assert_one_line(refused(tmp_path, COMMANDS[command], body), words)


@pytest.mark.parametrize(("body", "words"), [ENDS, RAISES, PRINTS], ids=["ends", "raises", "prints"])
def test_a_check_finds_a_hostile_file_at_fault(body: str, words: str, tmp_path: Path) -> None:
    checked = refused(tmp_path, ["kernel", "check"], body)

    first, *others = checked.stdout.strip().splitlines()
    assert checked.exit_code == ExitCode.FAILED
    assert words in first and first.isprintable()
    assert others and all("not reached" in line for line in others)


@pytest.mark.parametrize("command", WAYS)
def test_a_file_that_loops_is_stopped(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.kernel_process.description.LOAD_S", 3.0)
    monkeypatch.setattr("jobs.kernel_process.tunable.LOAD_S", 3.0)

    assert_one_line(refused(tmp_path, COMMANDS[command], LOOPS[0]), LOOPS[1])


def test_files_that_are_endless_devices_are_not_read(tmp_path: Path) -> None:
    body = (
        "from pathlib import Path\nfrom types import SimpleNamespace\nfrom kernel.spec import Case\n"
        "class Mine:\n"
        "    name, summary, default_case = 'mine', '', 'a'\n"
        "    cases, input_sets, tolerances = {'a': Case('a', '', {})}, {'i': ''}, {'y': SimpleNamespace(atol=0, rtol=0,"
        " outlier_share=0)}\n"
        "    def sources(self): return (Path(__file__), Path('/dev/zero'))\n"
        "    def budgets(self): return Path('/dev/zero')\n"
        "    def input_specs(self, case): return ()\n"
        "    output_specs = input_specs\n"
        "    def tuning(self, case, overrides): return SimpleNamespace(as_dict=dict)\n"
        "    inputs = golden = expected = program = tuning\n"
        "KERNEL = Mine()\n"
    )

    assert_one_line(refused(tmp_path, COMMANDS["budgets"], body), "its sources() name /dev/zero, which is no file")


def test_a_plug_in_that_cannot_be_used_is_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile_plug_in.py").write_text(ENDS[0])
    install(tmp_path, monkeypatch, {}, {"hostile": "hostile_plug_in:KERNEL", "broken": "absent_package_of_mine:KERNEL"})

    listed = CliRunner().invoke(main, ["kernel", "list", "--json"])

    rows = {row["kernel"]: row for row in json.loads(listed.stdout)}
    assert "tiny" in rows["qkv_proj_rope"]["cases"]
    assert rows["hostile"]["cases"] == rows["broken"]["cases"] == []
    assert ENDS[1] in rows["hostile"]["problem"]
    assert "No module named 'absent_package_of_mine'" in rows["broken"]["problem"]


def test_a_test_that_asks_for_such_a_kernel_gets_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ENDS[0])

    with pytest.raises(KernelLoadError, match=ENDS[1]):
        request_of(str(tmp_path / "mine.py"), "a2a3sim", None, None, 0, {})
