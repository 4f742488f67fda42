"""`farm init`: everything it writes can be read by whoever reads it, and nothing of the user's is overwritten."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from ci.config.settings import load
from farm import scaffold
from farm.cli.app import main
from farm.errors import UsageError
from farm.model.budgets import load_budget
from kernel.registry import find_kernel
from tests.fakes.installed import install

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PIN = "npu-kernel-farm @ git+https://git.example/farm.git@0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scaffold, "requirement", lambda: PIN)
    scaffold.write(tmp_path / "my-kernel")
    return tmp_path / "my-kernel"


def test_init_writes_every_file_and_says_what_to_do_next(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["init", str(tmp_path / "my kernel")])

    assert done.exit_code == 0, done.output
    assert f"cd '{tmp_path / 'my kernel'}'" in done.output
    assert "farm run my_kernel.py --case tiny" in done.output
    files = {str(path.relative_to(tmp_path / "my kernel")) for path in (tmp_path / "my kernel").rglob("*.*")}
    assert set(scaffold.FILES.values()) <= files


def test_what_is_there_is_not_overwritten_and_nothing_is_added(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")

    done = CliRunner().invoke(main, ["init", str(tmp_path)])

    assert done.exit_code == 2
    assert done.output.strip().splitlines() == [
        f"farm: {tmp_path / 'README.md'} is there already; name an empty directory: farm init DIR"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot be written"):
        scaffold.write(tmp_path / "file" / "below")


def test_the_kernel_is_one_and_its_golden_is_silu_of_the_product(written: Path) -> None:
    kernel = find_kernel(str(written / "my_kernel.py"))
    inputs = kernel.inputs("tiny", "documented", 0)

    y = torch.nn.functional.silu(inputs["x"].float() @ inputs["w"].float())

    assert torch.allclose(kernel.golden("tiny", inputs)["y"].float(), y, atol=1e-3, rtol=2**-7)
    assert kernel.default_case == "tiny"


def test_every_case_has_a_budget_that_its_ratchet_keeps(written: Path) -> None:
    kernel = find_kernel(str(written / "my_kernel.py"))

    for case in kernel.cases:
        budget = load_budget(kernel.budgets(), "a2a3sim", case)
        assert budget is not None and budget.ratchet_us is not None and budget.ceiling_us is not None
        assert 0 < budget.ratchet_us < budget.ceiling_us


def test_the_package_registers_the_kernel_and_wants_this_farm(written: Path) -> None:
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]

    assert project["dependencies"] == [PIN]
    target = importlib.metadata.EntryPoint("my_kernel", project["entry-points"]["farm.kernels"]["my_kernel"], "")
    assert (written / f"{target.module}.py").is_file()
    assert find_kernel(f"{written / target.module}.py:{target.attr}").name == "my_kernel"


def test_the_gate_s_configuration_is_accepted(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = find_kernel(str(written / "my_kernel.py"))
    install(written, monkeypatch, {}, {"my_kernel": "my_kernel:KERNEL"})
    secrets = {"FARM_GITHUB_TOKEN": "ghp_token_of_the_tests", "FARM_WEBHOOK_SECRET": "It's a Secret to Everybody"}

    config = load(written / "farm.toml", secrets)

    assert config.repository[0].cases == list(kernel.cases)


def test_the_workflow_gives_no_token_away_and_runs_what_is_printed(written: Path) -> None:
    workflow = yaml.safe_load((written / ".github" / "workflows" / "kernel.yml").read_text())
    steps = workflow["jobs"]["validate"]["steps"]

    assert workflow["permissions"] == {"contents": "read"}
    assert steps[0]["with"] == {"persist-credentials": False}
    assert [step["env"] for step in steps if "env" in step] == [{"FARM_SOURCE": PIN}]
    ran = [step["run"].split()[:2] for step in steps if "run" in step]
    assert ["farm", "run"] in ran and ["farm", "test"] in ran
