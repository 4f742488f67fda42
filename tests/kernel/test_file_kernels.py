"""A kernel named by its file: found, held to the protocol, and refused in one line that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.reference import reference
from kernel import file_kernels
from kernel.errors import KernelLoadError, TuningError, UnknownNameError
from kernel.registry import find_kernel
from kernel.spec import TensorSpec
from kernel.validation import checked, require_specified
from tests.fakes.small_kernel import SmallKernel

MINE = """
from __future__ import annotations

from dataclasses import dataclass

import torch

from kernel.simple import SimpleKernel
from kernel.spec import Case, TensorSpec, Tolerance


@dataclass
class Beside:
    value: int = 1


class Mine(SimpleKernel):
    name = "mine"
    summary = "twice x"
    cases = {"tiny": Case("tiny", "16 rows", {"T": 16})}
    tolerances = {"y": Tolerance(0.0, 0.0, 0.0)}

    def input_specs(self, case):
        return (TensorSpec("x", (self.dims(case)["T"], 8), torch.float32),)

    def output_specs(self, case):
        return (TensorSpec("y", (self.dims(case)["T"], 8), torch.float32),)

    def inputs(self, case, input_set, seed):
        return {"x": torch.randn(self.dims(case)["T"], 8, generator=torch.Generator().manual_seed(seed))}

    def golden(self, case, inputs):
        return {"y": inputs["x"] * 2}

    def program(self, case, tuning):
        raise NotImplementedError


KERNEL = Mine()
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def with_import(lines: str) -> str:
    """The file with `lines`, which import its SUMMARY."""
    return MINE.replace("import torch\n", f"import torch\n{lines}\n").replace('"twice x"', "SUMMARY")


def refusal(name: object) -> str:
    with pytest.raises(KernelLoadError) as caught:
        find_kernel(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_names_its_kernel_and_another_attribute_another(mine: Path) -> None:
    mine.write_text(MINE + "OTHER = Mine()\n")

    assert find_kernel(str(mine)) is find_kernel(f"{mine}:KERNEL")
    assert find_kernel(f"{mine}:OTHER") is not find_kernel(f"{mine}:KERNEL")


def test_a_relative_path_becomes_absolute_and_an_installed_name_stays(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)

    assert file_kernels.absolute("mine.py") == f"{mine.resolve()}:KERNEL"
    assert file_kernels.absolute("./mine.py:K") == f"{mine.resolve()}:K"
    assert file_kernels.absolute("qkv_proj_rope") == "qkv_proj_rope"


def test_two_files_of_one_name_are_two_kernels(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(MINE.replace('"twice x"', '"the other"'))

    assert find_kernel(str(mine)).summary == "twice x"
    assert find_kernel(str(other)).summary == "the other"


def test_a_neighbour_can_be_imported_and_cannot_shadow_an_installed_module(mine: Path) -> None:
    (mine.parent / "neighbour_of_mine.py").write_text("SUMMARY = 'from beside'\n")
    (mine.parent / "pydantic.py").write_text("raise RuntimeError('shadowed')\n")
    mine.write_text(with_import("import pydantic.fields\nfrom neighbour_of_mine import SUMMARY"))

    assert find_kernel(str(mine)).summary == "from beside"


def test_a_file_in_a_package_may_import_relatively(tmp_path: Path) -> None:
    package = tmp_path / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text("SUMMARY = 'relative'\n")
    (package / "mine.py").write_text(with_import("from .words import SUMMARY"))

    found = find_kernel(str(package / "mine.py"))

    assert found.summary == "relative"
    assert {path.name for path in found.sources()} == {"__init__.py", "words.py", "mine.py"}


def test_what_cannot_be_imported_is_refused_with_its_last_line_and_place(mine: Path) -> None:
    assert "there is no file" in refusal(mine.with_name("absent.py"))
    assert "mine.py has no NOPE" in refusal(f"{mine}:NOPE")
    mine.write_text("x = 1\n\nimport absent_module_of_mine\n")
    assert "No module named 'absent_module_of_mine'" in refusal(mine)
    assert f"{mine.resolve()}:3" in refusal(mine)
    mine.write_text("def broken(:\n")
    assert f"SyntaxError: invalid syntax ({mine.resolve()}:1)" in refusal(mine)
    mine.write_text("raise SystemExit(4)\n")
    assert "SystemExit: 4" in refusal(mine)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("KERNEL = Mine()", "KERNEL = Mine"), "it is the class Mine"),
        (("KERNEL = Mine()", "KERNEL = 3"), "it has no name, summary"),
        (("def golden", "def gilded"), "Can't instantiate abstract class Mine"),
        (('{"y": Tolerance(0.0, 0.0, 0.0)}', "{}"), "its tolerances are {}"),
        (("KERNEL = Mine()", "KERNEL = Mine()\nMine.default_case = 'huge'"), "'huge' is none of its cases"),
        (("KERNEL = Mine()", "KERNEL = Mine()\nMine.golden = None"), "it has no golden"),
        (("KERNEL = Mine()", "KERNEL = Mine()\nMine.sources = lambda self: ()"), "sources() do not list"),
    ],
)
def test_what_is_no_kernel_is_refused_by_what_it_lacks(mine: Path, edit: tuple[str, str], words: str) -> None:
    mine.write_text(MINE.replace(*edit))

    assert words in refusal(mine)


@pytest.mark.parametrize(
    ("golden", "words"),
    [
        ("3", "gave a int, not a dictionary"),
        ("{}", "lacks y"),
        ("{'y': inputs['x'], 'z': inputs['x']}", "holds z, which no spec names"),
        ("{'y': 3}", "gave a int for 'y', not a tensor"),
        ("{'y': inputs['x'][1:]}", "gave 'y' the shape [15, 8], not [16, 8]"),
        ("{'y': inputs['x'].double()}", "gave 'y' the dtype torch.float64, not torch.float32"),
    ],
)
def test_a_golden_that_breaks_its_own_specs_is_never_used(mine: Path, tmp_path: Path, golden: str, words: str) -> None:
    mine.write_text(MINE.replace('{"y": inputs["x"] * 2}', golden))

    with pytest.raises(KernelLoadError, match="golden\\(\\) of case 'tiny'") as caught:
        reference(find_kernel(str(mine)), "tiny", "documented", 0, tmp_path / "cache")

    assert words in str(caught.value)


def test_an_edited_file_is_another_reference(mine: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "mine.py"
    copy.parent.mkdir()
    copy.write_text(MINE.replace("* 2", "* 3"))

    first = reference(find_kernel(str(mine)), "tiny", "documented", 0, tmp_path / "cache")
    other = reference(find_kernel(str(copy)), "tiny", "documented", 0, tmp_path / "cache")

    assert torch.equal(first.inputs["x"] * 2, first.golden["y"])
    assert torch.equal(other.inputs["x"] * 3, other.golden["y"])


def test_a_simple_kernel_has_the_usual_answers(mine: Path) -> None:
    kernel = find_kernel(f"{mine}:KERNEL")

    assert (kernel.default_case, list(kernel.input_sets)) == ("tiny", ["documented"])
    assert kernel.tuning("tiny", {}).as_dict() == {}
    assert kernel.budgets() == mine.parent.resolve() / "budgets.toml"
    with pytest.raises(TuningError, match="has no knobs"):
        kernel.tuning("tiny", {"split": "2"})
    with pytest.raises(UnknownNameError, match="unknown case 'huge'"):
        kernel.tuning("huge", {})


@pytest.mark.parametrize("case", ["../../etc", "/tmp/x", "a\\b", "", ".hidden", "-c", "two\nlines", "a" * 101, 7])
def test_a_case_that_cannot_name_a_file_is_refused(case: object) -> None:
    kernel: Any = SmallKernel()
    kernel.cases = {**SmallKernel.cases, case: SmallKernel.cases["small"]}

    with pytest.raises(KernelLoadError, match="cannot name a file") as refused:
        checked("named", kernel)

    assert "\n" not in str(refused.value)


def test_every_kernel_of_the_protocol_is_accepted_as_it_is() -> None:
    kernel = SmallKernel()

    assert checked("small", kernel) is kernel
    require_specified(kernel, "inputs()", "small", kernel.inputs("small", "integers", 0), kernel.input_specs("small"))
    with pytest.raises(KernelLoadError, match="lacks absent"):
        require_specified(kernel, "inputs()", "small", {}, (TensorSpec("absent", (1,), torch.int8),))
