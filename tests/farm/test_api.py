"""The Python API: cheap to import, the command line's defaults, the same records."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import click
import pytest

import farm
from farm import api
from farm.cli.app import main
from farm.cli.run import command as run_command
from farm.model.run import SourceRequest
from farm.report.json_report import JsonReport
from farm.store.run_store import Store
from farm.validation import subprocess_run
from kernel.errors import KernelLoadError, UnknownNameError
from kernel.registry import find_kernel, name_of
from tests.farm import samples

HEAVY = ("ray", "torch", "numpy", "pydantic", "sqlalchemy", "click", "asyncio")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import farm, sys; print([name for name in {HEAVY} if name in sys.modules], farm.__version__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == f"[] {farm.__version__}"


@pytest.mark.parametrize("name", farm.__all__)
def test_every_name_of_the_api_is_there_and_explained(name: str) -> None:
    found = getattr(farm, name)

    assert name == "__version__" or inspect.getdoc(found)
    assert name in dir(farm)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'farm' has no attribute 'rum'"):
        _ = farm.rum  # type: ignore[attr-defined]


def test_run_is_the_function_whatever_else_has_been_imported() -> None:
    import farm.validation.workflow

    assert farm.validation.workflow.__name__ == "farm.validation.workflow"
    assert farm.run is api.run


def test_the_defaults_are_those_of_the_command() -> None:
    ours = {name: given.default for name, given in inspect.signature(farm.run).parameters.items()}
    theirs = {option.name: option.default for option in run_command.params if isinstance(option, click.Option)}

    for name in ("devices", "repeats", "platform", "wait_s"):
        assert ours[name] == theirs[name], name
    assert Path(ours["out"]) == theirs["out"]
    assert ours["kernel"] == next(given.default for given in run_command.params if given.name == "kernel")
    assert ours["priority"].value == theirs["priority"]


def test_both_kinds_of_run_take_the_same() -> None:
    sync = inspect.signature(farm.run).parameters
    apart_from_it = {name: given for name, given in sync.items() if name != "observer"}

    assert dict(inspect.signature(farm.run_async).parameters) == apart_from_it


def test_a_request_that_cannot_be_carried_out_raises_before_anything_starts(tmp_path: Path, at_home: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown kernel 'nope'"):
        farm.run("nope", out=tmp_path / "out")
    with pytest.raises(farm.UsageError, match="--devices 0"):
        farm.run(devices=0, out=tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_the_child_of_an_awaited_run_is_asked_for_the_same(tmp_path: Path) -> None:
    request = samples.run().request.model_copy(
        update={
            "tuning": {"split_k": "2"},
            "seed": 7,
            "selection": farm.Selection(spread=farm.Spread.NODES, soc="x", nodes=["n"], devices=["n/1"]),
        }
    )
    words = subprocess_run.arguments(request, tmp_path, "head:6379", 2.5, farm.Timeouts(trial_s=60.0))

    context = main.make_context("farm", words)
    args = [*context._protected_args, *context.args]
    parsed = run_command.make_context("run", args[1:]).params

    assert (args[0], parsed["kernel"], list(parsed["cases"])) == ("run", request.kernel, request.cases)
    assert (parsed["tuning"], parsed["seed"], parsed["input_set"]) == (("split_k=2",), 7, request.input_set)
    assert (parsed["address"], parsed["wait_s"], parsed["trial_s"]) == ("head:6379", 2.5, 60.0)
    assert (parsed["spread"], parsed["soc"], parsed["nodes"], parsed["devices_named"]) == (
        "nodes",
        "x",
        ("n",),
        ("n/1",),
    )
    assert (parsed["out"], parsed["as_json"], parsed["devices"]) == (tmp_path, True, request.devices)


def test_a_commit_is_asked_for_by_its_full_ids_and_a_drawn_seed_by_none(tmp_path: Path) -> None:
    source = SourceRequest(repository="/repo", commit="a" * 40, base="b" * 40, require_sandbox=True)
    request = samples.run().request.model_copy(update={"source": source})

    words = subprocess_run.arguments(request, tmp_path, None, 0.0, farm.Timeouts())
    parsed = run_command.make_context("run", words[1:]).params

    assert (parsed["source"], parsed["commit"], parsed["base"]) == (Path("/repo"), "a" * 40, "b" * 40)
    assert (parsed["seed"], parsed["require_sandbox"]) == (None, True)


def test_a_run_is_found_by_id_by_its_beginning_and_by_its_file(
    tmp_path: Path, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    monkeypatch.setenv("FARM_STORE", url)
    record = samples.run()
    with Store.open(url) as store:
        store.begin(record.model_copy(update={"verdict": None}))
        store.finish(record)
    (tmp_path / "report.json").write_text(JsonReport().write(record), encoding="utf-8")

    assert farm.load(record.run_id) == farm.load(record.run_id[:-2]) == farm.load() == record
    assert farm.load(tmp_path) == farm.load(tmp_path / "report.json") == record
    assert [run.run_id for run in farm.runs(verdict=farm.Verdict.PASSED)] == [record.run_id]
    assert farm.runs(kernel="other") == []
    with pytest.raises(farm.UnknownRunError, match="no run 'nope'"):
        farm.load("nope")


def test_a_kernel_object_is_named_as_every_process_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernel_of_a_person.py").write_text("class Mine: pass\n\nKERNEL = Mine()\n")
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("kernel_of_a_person").KERNEL

    assert name_of(mine) == f"{tmp_path / 'kernel_of_a_person.py'}:KERNEL"
    assert name_of(find_kernel("qkv_proj_rope")) == "qkv_proj_rope"


def test_a_kernel_object_of_a_notebooks_cell_is_refused_with_what_to_do() -> None:
    class Cell:
        pass

    with pytest.raises(KernelLoadError, match=r"in no file.*write it to a file"):
        api.run(Cell())  # type: ignore[arg-type]
