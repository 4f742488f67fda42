from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.execution import plan, preflight
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.run import RunRequest
from kernel.errors import KernelLoadError, PlatformUnavailableError, TuningError, UnknownNameError
from kernel.platforms.protocol import Missing
from kernel.spec import TensorSpec
from tests.fakes.platforms import Honest
from tests.fakes.small_kernel import SmallKernel
from tests.farm.validated import run


def request(**changes: object) -> RunRequest:
    fields: dict[str, object] = {
        "kernel": "qkv_proj_rope",
        "cases": ["tiny"],
        "platform": "a2a3sim",
        "devices": 3,
        "repeats": 3,
        "input_set": "documented",
        "seed": 0,
        "tuning": {},
    }
    return RunRequest.model_validate({**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"kernel": "nope"}, UnknownNameError, "unknown kernel 'nope'; known: .*qkv_proj_rope"),
        ({"cases": ["huge"]}, UnknownNameError, "unknown case 'huge'; known: .*flash-s2"),
        ({"cases": ["tiny", "tiny"]}, UsageError, "given twice"),
        ({"input_set": "nice"}, UnknownNameError, "unknown input set 'nice'; known: .*documented"),
        ({"devices": 0}, UsageError, "--devices 0 is out of range; use 1 to"),
        ({"devices": -1}, UsageError, "--devices -1"),
        ({"repeats": 0}, UsageError, "--repeats 0"),
        ({"seed": -1}, UsageError, "--seed -1"),
        ({"tuning": {"nonsense": "1"}}, TuningError, "nonsense"),
    ],
)
def test_bad_requests_are_one_line_that_names_the_value(
    changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        preflight.check(request(**changes))

    assert "\n" not in str(caught.value)


def test_an_unwritable_directory_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    with pytest.raises(UsageError, match="cannot be written"):
        preflight.require_writable(file / "runs")
    preflight.require_writable(tmp_path / "a" / "b")

    assert not (tmp_path / "a").exists()


def test_a_platform_that_misses_something_says_what_and_the_remedy() -> None:
    class Bare(Honest):
        def missing(self) -> list[Missing]:
            return [Missing("cmake", "builds the calculator", "apt-get install cmake")]

    with pytest.raises(PlatformUnavailableError, match=r"cmake is missing.*apt-get install cmake"):
        preflight.require(Bare())


def test_a_plan_is_every_case_on_every_slot_in_order() -> None:
    made = plan.make(request(cases=["tiny", "flash-t1"], devices=2, repeats=2), warm_up=True)

    assert len(made.trials) == 2 * 2 * 3
    assert [(trial.case, trial.repeat) for trial in made.by_slot()[1]] == [
        ("tiny", -1),
        ("tiny", 0),
        ("tiny", 1),
        ("flash-t1", -1),
        ("flash-t1", 0),
        ("flash-t1", 1),
    ]
    assert made.requests["flash-t1"].case == "flash-t1"


class BuildsOnce(Honest):
    """Has something that is built into the cache once."""

    def unbuilt(self, cache: Path) -> str:
        return "" if (cache / "built").exists() else "the calculator"

    def build_once(self, cache: Path) -> None:
        (cache / "built").touch()


def test_what_is_built_once_is_built_before_anything_else_and_said(tmp_path: Path) -> None:
    said: list[str] = []

    preflight.build_once(BuildsOnce(), tmp_path, said.append)
    preflight.build_once(BuildsOnce(), tmp_path, said.append)
    preflight.build_once(Honest(), tmp_path, said.append)

    assert said == ["building the calculator, once on this machine; it takes a minute or more"]
    assert (tmp_path / "built").exists()


def test_a_build_that_fails_costs_no_lease_and_the_first_word_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails(BuildsOnce):
        def build_once(self, cache: Path) -> None:
            raise PlatformUnavailableError("fake", "the build failed", "see the log")

    class Says(Observer):
        def __init__(self) -> None:
            self.said: list[str] = []

        def preparing(self, what: str) -> None:
            self.said.append(what)

    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    observer = Says()

    with pytest.raises(PlatformUnavailableError, match="the build failed"):
        run(request(platform="fake"), SessionOptions(out=tmp_path / "out", platform=Fails), observer)

    assert observer.said[0] == "checking qkv_proj_rope"
    assert observer.said[1].startswith("building the calculator")
    assert not (tmp_path / "home" / "store.sqlite").exists()


def test_a_build_is_said_on_stderr_where_nobody_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preflight.build_once(BuildsOnce(), tmp_path)

    assert capsys.readouterr().err.startswith("farm: building the calculator")


class Empty(SmallKernel):
    """Has outputs, and nothing in them."""

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(each.name, (0, 4), each.dtype) for each in super().output_specs(case))


def test_outputs_without_elements_are_nothing_that_could_pass(tmp_path: Path) -> None:
    asked = request(kernel="small", cases=["tall"], input_set="integers")

    with pytest.raises(KernelLoadError, match="its outputs of case 'tall' have no elements, so nothing could be com"):
        preflight.require_reference(Empty(), asked, tmp_path, 1.0)
