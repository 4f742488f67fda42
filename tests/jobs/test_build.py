"""A build is made once per content address, and only a good one is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobs import cache
from jobs.build import RECORD_NAME, build
from jobs.records import Fault, TrialRequest
from kernel.errors import CompileError
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import SmallKernel

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
    assert cache.content_address({"a": 1, "b": [2]}) == cache.content_address({"b": [2], "a": 1})
    assert cache.content_address({"a": 1}) != cache.content_address({"a": "1"})
