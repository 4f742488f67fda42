"""What an answer is held to once it has the right form: its outputs, and times that can be."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from jobs.sandbox.commit_kernel import BadProgramAnswerError, UnprovenTimeError
from jobs.sandbox.protocol import AnsweredTask, SandboxAnswer
from jobs.sandbox.validation import fill, require_consistent, require_same, tasks_of
from kernel.spec import Tensors
from tests.fakes.plain_platform import PlainPlatform


def claimed(wall_us: float | None, duration_us: float, fingerprint: str = "") -> SandboxAnswer:
    """An answer with one task, which takes `duration_us`."""
    task = AnsweredTask(name="t0", stage="all", core="AIV_1", start_us=0.0, duration_us=duration_us)
    return SandboxAnswer(wall_us=wall_us, tasks=[task], fingerprint=fingerprint)


def held(answer: SandboxAnswer, recorded: str, place: Path, moved: int = 8_000) -> None:
    """Hold `answer` to a recording with that text, and to outputs of so many bytes."""
    (place / "recording").write_text(recorded)
    require_consistent(PlainPlatform(), answer, tasks_of(answer), moved, place / "recording")


def recording(duration_us: float) -> str:
    return json.dumps([["t0", "all", "AIV_1", 0.0, duration_us]])


def test_a_time_that_all_agree_on_is_taken(tmp_path: Path) -> None:
    answer = claimed(6.5, 6.5)

    held(answer, recording(6.5), tmp_path)

    assert [task.duration_us for task in tasks_of(answer)] == [6.5]


@pytest.mark.parametrize(
    ("answer", "recorded", "words"),
    [
        (claimed(1.0, 6.5), recording(6.5), "its time is 1.00 µs, its tasks take 6.50 µs"),
        (claimed(1.0, 1.0), recording(6.5), "are not those of the platform's recording"),
        (claimed(0.001, 0.001), recording(0.001), "all cores together take to write the outputs"),
        (claimed(None, 6.5), recording(6.5), "without a time or without tasks"),
        (SandboxAnswer(wall_us=6.5), recording(6.5), "without a time or without tasks"),
        (claimed(6.5, 6.5), "", "the platform's recording cannot be read"),
        (claimed(6.5, 6.5), "[1]", "the platform's recording cannot be read"),
        (claimed(6.5, 6.5), "[" * 100_000, "the platform's recording cannot be read"),
    ],
)
def test_a_time_that_cannot_be_is_refused(answer: SandboxAnswer, recorded: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadProgramAnswerError, match=words):
        held(answer, recorded, tmp_path)


@pytest.mark.parametrize("computed", [claimed(3.25, 3.25, "f"), claimed(6.5, 6.5, "e"), claimed(6.5, 6.0, "f")])
def test_what_the_cost_model_gives_is_compared_in_time_tasks_and_name(computed: SandboxAnswer) -> None:
    answer = claimed(6.5, 6.5, "f")
    require_same(answer, answer)

    with pytest.raises(UnprovenTimeError, match=r"says 6\.50 µs"):
        require_same(answer, computed)


def wanted() -> Tensors:
    return {"y": torch.zeros(2, 4), "n": torch.zeros(3, dtype=torch.int8)}


def test_outputs_are_copied_into_those_that_wait_for_them(tmp_path: Path) -> None:
    outputs = wanted()
    (tmp_path / "outputs").write_bytes(save({name: torch.ones_like(each) for name, each in outputs.items()}))

    fill(outputs, tmp_path / "outputs")

    assert all(bool(each.eq(1).all()) for each in outputs.values())


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "no safetensors file"),
        (pickle.dumps({"y": [0.0]}), "no safetensors file"),
        (save({"y": torch.zeros(2, 4)}), "answered with y in place of y, n"),
        (save({**wanted(), "more": torch.zeros(1)}), "in place of y, n"),
        (save({**wanted(), "y": torch.zeros(4, 2)}), r"output 'y' came back as torch.float32 \[4, 2\]"),
        (save({**wanted(), "n": torch.zeros(3, dtype=torch.uint8)}), "output 'n' came back as torch.uint8"),
    ],
)
def test_outputs_of_another_form_are_refused(contents: bytes, words: str, tmp_path: Path) -> None:
    outputs = wanted()
    (tmp_path / "outputs").write_bytes(contents)

    with pytest.raises(BadProgramAnswerError, match=words):
        fill(outputs, tmp_path / "outputs")

    assert all(bool(each.eq(0).all()) for each in outputs.values())
