"""Bad input at the command line: one line, the right exit code, nothing left behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from farm.cli.app import main
from farm.errors import CapacityError
from farm.execution.session import Session
from kernel.registry import find_kernel

pytestmark = pytest.mark.usefixtures("at_home")

Change = Callable[[dict[str, torch.Tensor]], object]


def farm(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def assert_refused(result: Result, words: str) -> None:
    assert result.exit_code == 2, result.output
    steps = ("checking ", "building ", "starting Ray", "connecting to ", "leasing ")
    assert [line for line in result.stdout.splitlines() if not line.startswith(steps)] == []
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert words in lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "unknown kernel 'nope'"),
        (["--case", "huge"], "unknown case 'huge'"),
        (["--platform", "b200"], "unknown platform 'b200'"),
        (["--inputs-set", "nice"], "unknown input set 'nice'"),
        (["--tuning", "nonsense=1"], "nonsense"),
        (["--tuning", "split_k"], "is not KEY=VALUE"),
        (["--tuning", "split_k=two"], "two"),
        (["--tuning", "split_k=3", "--case", "flash-s2"], "4096 and 3"),
        (["--devices", "0"], "--devices 0"),
        (["--repeats", "-3"], "--repeats -3"),
        (["--run-id", "../elsewhere"], "--run-id '../elsewhere'"),
    ],
)
def test_run_refuses_bad_values_before_anything_starts(tmp_path: Path, arguments: list[str], words: str) -> None:
    out = tmp_path / "out"

    assert_refused(farm("run", *arguments, "--out", str(out)), words)

    assert not out.exists()


def test_run_refuses_a_kernel_file_before_anything_starts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "mine.py").write_text("import absent_of_mine\n")

    for command in (["run"], ["kernel", "show"], ["kernel", "check"], ["tune"], ["ledger"], ["trends"], ["sweep"]):
        assert_refused(farm(*command, str(tmp_path / "absent.py")), "there is no file")
    assert_refused(farm("run", str(tmp_path / "mine.py"), "--out", str(out)), "No module named 'absent_of_mine'")
    assert not out.exists()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("method", "command"),
    [
        ("input_specs(self, case)", ["kernel", "show"]),
        ("output_specs(self, case)", ["run"]),
        ("tuning(self, case, overrides)", ["run"]),
        ("tuning(self, case, overrides)", ["kernel", "show"]),
    ],
)
def test_a_kernel_that_raises_is_refused_in_one_line(tmp_path: Path, method: str, command: list[str]) -> None:
    (tmp_path / "raising.py").write_text(
        "from pathlib import Path\n"
        "from tests.fakes.small_kernel import SmallKernel\n"
        "class Raising(SmallKernel):\n"
        "    def sources(self): return (*super().sources(), Path(__file__))\n"
        "    def budgets(self): return Path(__file__).with_name('budgets.toml')\n"
        f"    def {method}: raise ValueError('no such shape')\n"
        "KERNEL = Raising()\n"
    )

    (tmp_path / "budgets.toml").touch()

    assert_refused(farm(*command, str(tmp_path / "raising.py")), "ValueError: no such shape")


BUDGETED = """
from pathlib import Path
from tests.fakes.small_kernel import SmallKernel
class Budgeted(SmallKernel):
    def sources(self): return (Path(__file__),)
    def budgets(self): return Path(__file__).with_name("budgets.toml")
KERNEL = Budgeted()
"""


@pytest.mark.usefixtures("warm")
def test_a_budget_file_with_a_mistake_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """`tests/farm/model/test_budgets.py` has every kind of mistake."""
    (tmp_path / "mine.py").write_text(BUDGETED)
    (tmp_path / "budgets.toml").write_text("[a2a3sim.smal]\nlanded = [{us = 5.0}]\n")
    out = tmp_path / "out"
    words = "unknown case 'smal'; did you mean 'small'"

    assert_refused(farm("budgets", "check", str(tmp_path / "mine.py")), words)
    assert_refused(farm("run", str(tmp_path / "mine.py"), "--out", str(out)), words)
    assert not out.exists()


@pytest.mark.usefixtures("warm")
def test_budgets_check_names_every_kernel_and_refuses_one_of_several(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BUDGETED)
    (tmp_path / "budgets.toml").write_text("[a2a3sim.small]\nlanded = [{us = 5.0}]\n")

    good = farm("budgets", "check")
    mixed = farm("budgets", "check", str(tmp_path / "mine.py"), str(tmp_path / "absent.py"))
    told = farm("budgets", "check", "--json", str(tmp_path / "mine.py"), str(tmp_path / "absent.py"))

    assert good.exit_code == 0, good.output
    assert "qkv_proj_rope: 8 budgets" in good.stdout.splitlines()
    assert (mixed.exit_code, mixed.stdout) == (2, f"{tmp_path / 'mine.py'}: 1 budget\n")
    assert "there is no file" in mixed.stderr
    rows = json.loads(told.stdout)
    assert told.exit_code == 2
    assert [(Path(row["kernel"]).name, row["budgets"]) for row in rows] == [("mine.py", 1), ("absent.py", 0)]
    assert rows[0]["problem"] == ""
    assert "there is no file" in rows[1]["problem"]


@pytest.mark.usefixtures("warm")
def test_run_refuses_a_kernel_whose_golden_is_not_as_specified(tmp_path: Path) -> None:
    source = (
        "from tests.fakes.small_kernel import SmallKernel\n"
        "class Short(SmallKernel):\n"
        "    def sources(self): return (*super().sources(), __import__('pathlib').Path(__file__))\n"
        "    def budgets(self): return self.sources()[-1].with_name('budgets.toml')\n"
        "    def golden(self, case, inputs): return {'y': super().golden(case, inputs)['y']}\n"
        "KERNEL = Short()\n"
    )
    (tmp_path / "budgets.toml").touch()
    (tmp_path / "mine.py").write_text(source)
    (tmp_path / "raising.py").write_text(source.replace("return {'y'", "return {}['y'"))
    out = tmp_path / "out"

    assert_refused(farm("run", str(tmp_path / "mine.py"), "--out", str(out)), "golden() of case 'small' lacks rounded")
    assert_refused(farm("run", str(tmp_path / "raising.py"), "--out", str(out)), "raising.py:5")
    assert not out.exists()


def test_run_refuses_an_output_directory_it_cannot_write(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    result = farm("run", "--case", "tiny", "--out", str(file / "runs"))

    assert_refused(result, "cannot be written")


def test_run_refuses_more_devices_than_the_cluster_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def too_few(*_: object, **__: object) -> Iterator[Session]:
        raise CapacityError(5, 4, "the cluster has", "take fewer")
        yield

    monkeypatch.setattr("farm.validation.workflow.leased", too_few)
    out = tmp_path / "out"

    assert_refused(farm("run", "--case", "tiny", "--devices", "5", "--out", str(out)), "the cluster has 4")

    assert not out.exists()


def test_check_says_which_guard_breaks_and_builds_nothing() -> None:
    assert farm("kernel", "check", "--case", "tiny", "--no-compile").exit_code == 0
    assert_refused(farm("kernel", "check", "--tuning", "split_k=3", "--case", "flash-s2"), "4096 and 3")


def test_list_and_show_speak_json() -> None:
    listed = json.loads(farm("kernel", "list", "--json").stdout)
    shown = json.loads(farm("kernel", "show", "--case", "tiny", "--json").stdout)

    assert "qkv_proj_rope" in [entry["kernel"] for entry in listed]
    assert (shown["kernel"], shown["name"]) == ("qkv_proj_rope", "qkv_proj_rope")
    assert [entry["name"] for entry in listed] == [entry["kernel"] for entry in listed]  # what older readers ask for
    assert shown["outputs"]["qr"] == "[16, 256] torch.int8"
    assert shown["case"] == "tiny"


def inputs_file(path: Path, change: Change) -> Path:
    tensors = find_kernel("qkv_proj_rope").inputs("tiny", "documented", 0)
    change(tensors)
    file = path / "in.safetensors"
    save_file(tensors, file)
    return file


def set_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors["norm_w"][3] = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("wkv"), "lacks wkv"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "holds extra"),
        (lambda tensors: tensors.update(wkv=tensors["wkv"][:, :8].contiguous()), "wkv has shape [512, 8]"),
        (lambda tensors: tensors.update(wkv=tensors["wkv"].float()), "wkv has dtype torch.float32"),
        (set_nan, "norm_w holds NaN or Inf"),
    ],
)
def test_exec_refuses_tensors_that_are_not_the_operators(tmp_path: Path, change: Change, words: str) -> None:
    source = inputs_file(tmp_path, change)
    target = tmp_path / "out.safetensors"

    result = farm("kernel", "exec", "--case", "tiny", "--inputs", str(source), "--outputs", str(target))

    assert_refused(result, words)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_exec_refuses_a_file_that_is_none(tmp_path: Path) -> None:
    target = str(tmp_path / "out.safetensors")
    text = tmp_path / "text"
    text.write_text("not tensors")

    assert_refused(farm("kernel", "exec", "--inputs", str(text), "--outputs", target), "no readable safetensors file")
    absent = str(tmp_path / "absent")
    assert_refused(farm("kernel", "exec", "--inputs", absent, "--outputs", target), "no readable safetensors file")


@pytest.mark.sim
def test_exec_runs_the_kernel_on_a_file(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    source = inputs_file(tmp_path, lambda tensors: None)
    target = tmp_path / "out.safetensors"

    result = farm("kernel", "exec", "--case", "tiny", "--inputs", str(source), "--outputs", str(target), "--json")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["clock"] == "simulated"
    assert told["wall_us"] > 0
    kernel = find_kernel("qkv_proj_rope")
    outputs = load_file(target)
    golden = kernel.golden("tiny", load_file(source))
    assert set(outputs) == {"q", "kv", "qr", "qr_scale"}
    assert (outputs["qr"].int() - golden["qr"].int()).abs().max() <= 1


@pytest.mark.parametrize(
    "words",
    [["run", "--source", "."], ["run", "--base", "HEAD"], ["bisect", "HEAD~1", "HEAD", "--kernel"]],
)
def test_a_kernel_by_path_is_never_a_commits(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from tests.fakes.small_kernel import SmallKernel\nKERNEL = SmallKernel()\n")

    assert_refused(farm(*words, str(file)), "is a file, and a commit is judged by the rules of an installed kernel")
