"""A kernel that is not the installation's is asked in a process of its own, which ends nothing but itself.

Those processes are forked from one that has loaded torch, but for one that is as every other place starts it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from jobs.cache import reference_address, reference_path
from jobs.kernel_process.described import DescribedKernel, kernel_of
from jobs.kernel_process.messages import KernelQuestion, Question
from jobs.kernel_process.supervisor import answer
from jobs.reference import reference
from kernel.errors import KernelContractError, KernelLoadError, TuningError, UnknownNameError
from kernel.registry import find_kernel
from tests.fakes.small_kernel import SmallKernel

pytestmark = pytest.mark.usefixtures("warm")

COLD = sys.executable
FOREIGN = """
import os, sys, time
from pathlib import Path
import torch
from tests.fakes.small_kernel import SmallKernel

print("loading")
assert os.getpid() != {driver}, "loaded in the driver"
{loading}

class Foreign(SmallKernel):
    def sources(self):
        return (Path(__file__),)
    def budgets(self):
        return Path(__file__).with_name("budgets.toml")
{body}

KERNEL = Foreign()
"""


def foreign(directory: Path, body: str = "", loading: str = "") -> str:
    """A kernel file that refuses to be loaded in this process."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    file = directory / "mine.py"
    file.write_text(FOREIGN.format(driver=os.getpid(), body=indented, loading=loading))
    return str(file)


def test_a_described_kernel_says_what_the_kernel_says(
    tmp_path: Path, python_with_torch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", COLD)
    there, here = kernel_of(foreign(tmp_path)), SmallKernel()
    monkeypatch.setattr(sys, "executable", python_with_torch)

    assert isinstance(there, DescribedKernel)
    assert (there.name, there.summary, there.default_case) == (here.name, here.summary, here.default_case)
    assert (there.cases, there.input_sets, there.tolerances) == (here.cases, here.input_sets, here.tolerances)
    for case in here.cases:
        assert there.input_specs(case) == here.input_specs(case)
        assert there.output_specs(case) == here.output_specs(case)
        assert there.tuning(case, {}).as_dict() == here.tuning(case, {}).as_dict()
    assert there.tuning("tall", {"rows": "32"}).as_dict() == here.tuning("tall", {"rows": "32"}).as_dict()
    assert there.sources() == (tmp_path / "mine.py",)
    assert there.budgets() == tmp_path / "budgets.toml"
    with pytest.raises(TuningError, match="24 and 16"):
        there.tuning("small", {"rows": "24"})
    with pytest.raises(UnknownNameError, match="unknown case 'smal'; did you mean 'small'"):
        there.output_specs("smal")


def test_its_reference_is_the_one_that_workers_find(tmp_path: Path) -> None:
    kernel = kernel_of(foreign(tmp_path))
    assert isinstance(kernel, DescribedKernel)

    kernel.compute_reference("small", "integers", 5, tmp_path / "cache", 300.0)

    kept = reference_path(tmp_path / "cache", reference_address(kernel, "small", "integers", 5))
    assert kept.is_file()
    found = reference(SmallKernel(), "small", "integers", 5, tmp_path / "other")
    assert kept.read_bytes() == next((tmp_path / "other").rglob("*.safetensors")).read_bytes()
    assert list(found.golden) == ["y", "rounded"]


@pytest.mark.parametrize(
    ("loading", "complaint"),
    [
        ("os._exit(0)", "ended with exit code 0 while it was loaded, without an answer; it last printed: loading"),
        ("sys.exit(0)", "the import fails: SystemExit: 0"),
        ("raise KeyboardInterrupt", "ended with exit code"),
        ("while True: os.write(1, bytes(1 << 20))", "MB written to printed"),
        ("import ctypes; ctypes.string_at(0)", "ended with exit code -11"),
    ],
)
def test_a_file_that_ends_the_process_or_prints_without_end_is_refused_in_one_line(
    loading: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(KernelLoadError) as refused:
        kernel_of(foreign(tmp_path, loading=f"sys.stdout.flush()\n{loading}"))

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "\x00" not in str(refused.value)


def test_a_file_that_loops_is_stopped_at_the_limit(tmp_path: Path) -> None:
    question = KernelQuestion(
        question=Question.DESCRIBE, kernel=foreign(tmp_path, loading="while True: time.sleep(1)"), path=[], answer=""
    )

    with pytest.raises(KernelLoadError, match=r"stopped while it was loaded: no answer within 2 s"):
        answer(question, limit_s=2.0)


@pytest.mark.parametrize(
    ("body", "kind", "complaint"),
    [
        ("def golden(self, case, inputs): os._exit(0)", KernelLoadError, "ended with exit code 0 while its inputs()"),
        ("def golden(self, case, inputs): raise SystemExit(0)", KernelLoadError, "failed: SystemExit: 0"),
        ("def inputs(self, case, s, seed): return open('/absent')", KernelLoadError, "No such file or directory"),
        (
            "def golden(self, case, inputs): inputs['x'].mul_(2); return super().golden(case, inputs)",
            KernelContractError,
            "changes its input 'x'",
        ),
    ],
)
def test_a_golden_that_misbehaves_is_refused_in_one_line(
    body: str, kind: type[Exception], complaint: str, tmp_path: Path
) -> None:
    kernel = kernel_of(foreign(tmp_path, body))
    assert isinstance(kernel, DescribedKernel)

    with pytest.raises(kind) as refused:
        kernel.compute_reference("small", "integers", 0, tmp_path / "cache", 300.0)

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_raises_for_one_case_is_refused_for_that_case_alone(tmp_path: Path) -> None:
    kernel = kernel_of(
        foreign(
            tmp_path,
            "def output_specs(self, case):\n"
            "    if case == 'tall': raise ValueError('half \\ud83d a \\x1b[31mshape')\n"
            "    return super().output_specs(case)",
        )
    )

    assert len(kernel.output_specs("small")) == 2
    with pytest.raises(KernelLoadError) as refused:
        kernel.output_specs("tall")
    assert r"its specs of case 'tall' failed: ValueError: half \ud83d a ␛[31mshape (" in str(refused.value)


def test_an_edited_file_is_asked_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    first = kernel_of(foreign(tmp_path))
    again = kernel_of(foreign(tmp_path))
    edited = kernel_of(foreign(tmp_path, "summary = 'another'"))

    assert again is first
    assert edited.summary == "another"


def test_the_installations_own_kernels_are_loaded_as_they_are() -> None:
    assert kernel_of("qkv_proj_rope") is find_kernel("qkv_proj_rope")
    assert "mine" not in sys.modules
    with pytest.raises(UnknownNameError, match="unknown kernel 'qkv_proj_ropee'; did you mean 'qkv_proj_rope'"):
        kernel_of("qkv_proj_ropee")
    with pytest.raises(KernelLoadError, match="there is no file"):
        kernel_of("/absent/mine.py")
