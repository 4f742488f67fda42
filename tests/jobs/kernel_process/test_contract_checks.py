"""Each promise of a kernel, broken in one way a time: the check of that promise says what is wrong, the others hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.kernel_process import contract_checks
from jobs.kernel_process.messages import KernelQuestion, Question
from kernel.errors import GuardError
from kernel.spec import Argument, Program, Tensors, Tolerance
from tests.fakes.installed import install
from tests.fakes.small_kernel import SmallKernel

WITHOUT_PROGRAM = ("contract", "tolerances", "guards", "inputs", "golden")


def entry(*operands: Any) -> None:
    """Never called."""


class Checked(SmallKernel):
    """The small kernel, whose program is one of plain Python."""

    def program(self, case: str, tuning: Any) -> Program:
        operands = [*self.input_specs(case), *self.output_specs(case)]
        outputs = {spec.name for spec in self.output_specs(case)}
        return Program(entry, tuple(Argument(each.name, each.shape, output=each.name in outputs) for each in operands))


def question(check: str, tmp_path: Path, **more: Any) -> KernelQuestion:
    asked = KernelQuestion(question=Question.CHECK, kernel="small", path=[], answer="", case="small", check=check)
    return asked.model_copy(update={"input_set": "integers", "platform": "plain", "cache": str(tmp_path), **more})


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch, {"plain": "tests.fakes.plain_platform:PlainPlatform"})


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("contract", "cases small, tall; input sets integers, shifted"),
        ("tolerances", "one for each of y, rounded"),
        ("guards", "hold for the tuning of small, tall"),
        ("signature", "takes x, w, y, rounded"),
        ("inputs", "others with another seed"),
        ("golden", "its inputs untouched"),
        ("compile", "compiles for plain (ffffffffffff), predicted 6.50 µs"),
    ],
)
def test_a_kernel_that_keeps_its_promises_passes(tmp_path: Path, check: str, words: str) -> None:
    assert words in contract_checks.run(Checked(), question(check, tmp_path))


class NoOutput(Checked):
    def output_specs(self, case: str) -> Any:
        return ()


class SpecOfAnotherKind(Checked):
    def input_specs(self, case: str) -> Any:
        return (("x", (16, 32)),)


class OperandTwice(Checked):
    def output_specs(self, case: str) -> Any:
        return (super().output_specs(case)[0],) * 2


class NoTolerance(Checked):
    def __init__(self) -> None:
        self.tolerances = {"y": Tolerance(0.0, 0.0, 0.0)}


class ToleranceOfNothing(Checked):
    def __init__(self) -> None:
        endless = Tolerance(0.0, 0.0, 0.0)
        object.__setattr__(endless, "atol", math.inf)  # as a tolerance that was made without its class's check
        self.tolerances = {"y": endless, "rounded": endless}


class GuardOfOneCase(Checked):
    def tuning(self, case: str, overrides: Any) -> Any:
        if case == "tall":
            raise GuardError("rows of 16", 17, 16, "choose a multiple of 16")
        return super().tuning(case, overrides)


class OperandsSwapped(Checked):
    def program(self, case: str, tuning: Any) -> Program:
        program = super().program(case, tuning)
        first, second, *others = program.arguments
        return Program(entry, (second, first, *others))


class NoProgram(Checked):
    def program(self, case: str, tuning: Any) -> Any:
        return entry


class InputsVary(Checked):
    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        return {spec.name: torch.rand(spec.shape).to(spec.dtype) for spec in self.input_specs(case)}


class InputOfAnotherShape(Checked):
    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        return {**super().inputs(case, input_set, seed), "x": torch.zeros(3)}


class GoldenVaries(Checked):
    def golden(self, case: str, inputs: Tensors) -> Tensors:
        return {**super().golden(case, inputs), "y": torch.rand(16, 128)}


class GoldenLacksOutput(Checked):
    def golden(self, case: str, inputs: Tensors) -> Tensors:
        return {"y": super().golden(case, inputs)["y"]}


class GoldenWritesItsInput(Checked):
    def golden(self, case: str, inputs: Tensors) -> Tensors:
        golden = super().golden(case, inputs)
        inputs["x"].zero_()
        return golden


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        (NoOutput, "contract", "has no output"),
        (SpecOfAnotherKind, "contract", "hold a tuple"),
        (OperandTwice, "contract", "name 'y' twice"),
        (NoTolerance, "tolerances", "lack rounded"),
        (ToleranceOfNothing, "tolerances", "atol is inf"),
        (GuardOfOneCase, "guards", "17 and 16 do not fit together"),
        (OperandsSwapped, "signature", r"takes \(w, x, y, rounded\)"),
        (NoProgram, "signature", "not a kernel.spec.Program"),
        (InputsVary, "inputs", "gives another 'x', 'w' when called again"),
        (InputOfAnotherShape, "inputs", r"gave 'x' the shape \[3\]"),
        (GoldenVaries, "golden", "gives another 'y' when called again"),
        (GoldenLacksOutput, "golden", "lacks rounded"),
        (GoldenWritesItsInput, "golden", "changes its input 'x'"),
        (OperandsSwapped, "compile", r"takes \(w, x, y, rounded\)"),
    ],
)
def test_a_broken_promise_is_found_by_its_check(
    tmp_path: Path, broken: Callable[[], SmallKernel], check: str, words: str
) -> None:
    with pytest.raises(Exception, match=words):
        contract_checks.run(broken(), question(check, tmp_path))


@pytest.mark.parametrize("check", WITHOUT_PROGRAM)
def test_a_mistake_in_the_program_is_none_of_what_the_other_checks_find(tmp_path: Path, check: str) -> None:
    assert contract_checks.run(NoProgram(), question(check, tmp_path))


def test_inputs_that_every_seed_draws_alike_are_said_to_be_so(tmp_path: Path) -> None:
    class Fixed(Checked):
        def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
            return super().inputs(case, input_set, 0)

    assert "which a commit's run refuses" in contract_checks.run(Fixed(), question("inputs", tmp_path))


def test_the_tuning_that_was_asked_for_is_held_to_the_guards(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="rows of 16"):
        contract_checks.run(Checked(), question("guards", tmp_path, overrides={"rows": "17"}))
