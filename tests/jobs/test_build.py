"""A build is made once per content address, and only a good one is kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from jobs import cache
from jobs.build import RECORD_NAME, build
from jobs.content_address import content_address
from jobs.records import BuildRecord, Fault, TrialRequest
from jobs.trial import run_trial
from kernel.errors import CompileError
from kernel.spec import Argument, Program, Tuning
from tests.fakes.plain_platform import PlainPlatform
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import COLUMNS, INNER, SmallKernel

KERNEL = SmallKernel()


def test_the_second_build_is_the_first_ones_record(request_small: TrialRequest, tmp_path: Path) -> None:
    platform = QuickPlatform()

    first = build(request_small, platform, tmp_path, kernel=KERNEL)
    second = build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL)

    assert (first.cached, second.cached, platform.builds) == (False, True, 1)
    assert second == first.model_copy(update={"cached": True})
    assert (first.fingerprint, first.predicted_us, first.tuning["rows"]) == ("f" * 64, 6.5, 16)


@pytest.mark.parametrize("change", [{"tuning": {"rows": "32"}}, {"case": "tall"}])
def test_another_tuning_or_case_is_another_build(
    change: dict[str, object], request_small: TrialRequest, tmp_path: Path
) -> None:
    first = build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL)
    other = build(request_small.model_copy(update=change), QuickPlatform(), tmp_path, kernel=KERNEL)

    assert not other.cached
    assert other.address != first.address


def test_inputs_and_seed_do_not_make_another_build(request_small: TrialRequest, tmp_path: Path) -> None:
    build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL)
    other = request_small.model_copy(update={"seed": 9, "input_set": "shifted"})

    assert build(other, QuickPlatform(), tmp_path, kernel=KERNEL).cached


def test_another_toolchain_is_another_build(request_small: TrialRequest, tmp_path: Path) -> None:
    build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL)
    upgraded = QuickPlatform()
    upgraded.version = "2"

    assert not build(request_small, upgraded, tmp_path, kernel=KERNEL).cached


def test_an_edited_source_is_another_build_and_a_moved_checkout_is_not(
    request_small: TrialRequest, tmp_path: Path
) -> None:
    class Elsewhere(SmallKernel):
        def __init__(self, directory: Path) -> None:
            self._directory = directory

        def sources(self) -> tuple[Path, ...]:
            return tuple(self._directory.glob("*.py"))

    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        for source in SmallKernel().sources():
            shutil.copy(source, tmp_path / name)

    build(request_small, QuickPlatform(), tmp_path, kernel=Elsewhere(tmp_path / "here"))
    moved = build(request_small, QuickPlatform(), tmp_path, kernel=Elsewhere(tmp_path / "there"))
    with (tmp_path / "there" / "small_program.py").open("a") as file:
        file.write("# edited\n")
    edited = build(request_small, QuickPlatform(), tmp_path, kernel=Elsewhere(tmp_path / "there"))

    assert (moved.cached, edited.cached) == (True, False)


def test_a_failed_build_is_a_record_with_its_log_and_is_tried_again(
    request_small: TrialRequest, tmp_path: Path
) -> None:
    platform = QuickPlatform()
    platform.error = CompileError("F21004", "MATMUL", "bad tile")

    failed = build(request_small, platform, tmp_path, kernel=KERNEL)
    platform.error = None
    mended = build(request_small, platform, tmp_path, kernel=KERNEL)

    assert failed.failure is not None
    assert (failed.failure.fault, failed.failure.kind) == (Fault.KERNEL, "compile")
    assert failed.failure.message == "compile error F21004 in MATMUL: bad tile"
    assert failed.failure.log.startswith("builds/")
    assert failed.fingerprint == ""
    assert (mended.failure, mended.cached, mended.address) == (None, False, failed.address)


def test_a_bad_tuning_is_a_record_without_an_address(request_small: TrialRequest, tmp_path: Path) -> None:
    request = request_small.model_copy(update={"tuning": {"colour": "red"}})

    record = build(request, QuickPlatform(), tmp_path, kernel=KERNEL)

    assert record.failure is not None
    assert (record.failure.kind, record.failure.message) == ("tuning", "unknown tuning key 'colour'")
    assert record.address == ""


def test_a_damaged_record_is_built_again(request_small: TrialRequest, tmp_path: Path) -> None:
    first = build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL)
    path = cache.build_directory(tmp_path, first.address) / RECORD_NAME
    path.write_text(path.read_text()[:40])

    assert not build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL).cached
    assert build(request_small, QuickPlatform(), tmp_path, kernel=KERNEL).cached


def test_the_order_of_parts_does_not_change_an_address() -> None:
    assert content_address({"a": 1, "b": [2]}) == content_address({"b": [2], "a": 1})
    assert content_address({"a": 1}) != content_address({"a": "1"})


class Programmed(SmallKernel):
    """A kernel whose program a test gives."""

    def __init__(self, program: object) -> None:
        self._program = program

    def program(self, case: str, tuning: Tuning) -> Program:
        return cast(Program, self._program)


def nothing(*operands: object) -> None:
    """An entry that is never called."""


X, W = Argument("x", (16, INNER)), Argument("w", (INNER, COLUMNS), nz=True)
Y, ROUNDED = Argument("y", (16, COLUMNS), output=True), Argument("rounded", (16, COLUMNS), output=True)


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (None, "program() of case 'small' gave a NoneType, not a kernel.spec.Program"),
        (Program(cast(Any, 7), (X, W, Y, ROUNDED)), "has the entry 7, which cannot be called"),
        (Program(nothing, (W, X, Y, ROUNDED)), "takes (w, x, y, rounded); its specs say (x, w, y, rounded)"),
        (Program(nothing, (X, W, ROUNDED, Y)), "takes (x, w, rounded, y); its specs say"),
        (Program(nothing, (X, W, Y)), "takes (x, w, y); its specs say"),
        (Program(nothing, (X, W, Y, ROUNDED, Y)), "takes (x, w, y, rounded, y); its specs say"),
        (Program(nothing, (X, replace(W, name="weight"), Y, ROUNDED)), "takes (x, weight, y, rounded)"),
        (Program(nothing, (X, W, replace(Y, output=False), ROUNDED)), "takes 'y' as an input"),
        (Program(nothing, (replace(X, output=True), W, Y, ROUNDED)), "takes 'x' as an output"),
        (
            Program(nothing, (X, W, Y, replace(ROUNDED, shape=(16, 64)))),
            "takes 'rounded' as [16, 64]; its spec has [16, 128], which is another number of elements",
        ),
    ],
)
def test_a_program_that_is_not_the_one_of_the_specs_is_refused_before_it_is_built(
    program: object, complaint: str, request_small: TrialRequest, tmp_path: Path
) -> None:
    platform = PlainPlatform()

    built = build(request_small, platform, tmp_path, kernel=Programmed(program))
    ran = run_trial(request_small, 0, "n/0", 0, 0, platform, tmp_path / "trial", tmp_path, kernel=Programmed(program))

    for failure in (built.failure, ran.failure):
        assert failure is not None
        assert (failure.fault, failure.kind) == (Fault.KERNEL, "tensor")
        assert complaint in failure.message


def test_a_program_may_view_its_operands_in_another_shape(request_small: TrialRequest, tmp_path: Path) -> None:
    flat = replace(X, shape=(16 * INNER,))

    kernel = Programmed(Program(nothing, (flat, W, Y, ROUNDED)))

    assert build(request_small, PlainPlatform(), tmp_path, kernel=kernel).failure is None


class Odd:
    """Knobs that no JSON can hold."""

    def as_dict(self) -> dict[str, Any]:
        return {"nan": float("nan"), "half": "\ud83d", "big": 10**400, "on": True, "control": "\x1b[31m"}


def test_knobs_that_json_cannot_hold_are_written_as_text(request_small: TrialRequest, tmp_path: Path) -> None:
    class Knobbed(SmallKernel):
        def tuning(self, case: str, overrides: Mapping[str, str]) -> Any:
            return Odd()

    record = build(request_small, QuickPlatform(), tmp_path, kernel=Knobbed())

    assert record.failure is None
    assert record.tuning == {"nan": "nan", "half": "\\ud83d", "big": 10**400, "on": True, "control": "␛[31m"}
    assert BuildRecord.model_validate_json(record.model_dump_json()) == record


def test_a_kernel_that_exits_in_its_tuning_or_program_is_the_kernels(
    request_small: TrialRequest, tmp_path: Path
) -> None:
    class Exits(SmallKernel):
        def sources(self) -> tuple[Path, ...]:
            return (Path(__file__),)

        def program(self, case: str, tuning: Tuning) -> Program:
            raise SystemExit(0)

    failure = build(request_small, PlainPlatform(), tmp_path, kernel=Exits()).failure

    assert failure is not None
    assert (failure.fault, failure.kind, failure.message) == (Fault.KERNEL, "kernel-raised", "SystemExit: 0")
