"""What is read of an answer that hostile code may have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.sandbox import protocol
from jobs.sandbox.protocol import BadAnswerError, read_answer

TASK = '{"name": "t0", "stage": "", "core": "AIV_1", "start_us": 0.0, "duration_us": DURATION}'


def test_an_answer_of_the_one_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text('{"wall_us": 6.5, "tasks": [' + TASK.replace("DURATION", "6.5") + "]}")

    answer = read_answer(tmp_path / "answer")

    assert (answer.wall_us, [task.duration_us for task in answer.tasks]) == (6.5, [6.5])


@pytest.mark.parametrize(
    "text",
    [
        '{"wall_us": NaN}',
        '{"wall_us": Infinity}',
        '{"wall_us": -1.0}',
        '{"wall_us": 0}',
        '{"wall_us": 6.5, "surprise": 1}',
        '{"wall_us": 6.5, "fingerprint": "../../etc/passwd"}',
        '{"tasks": [' + TASK.replace("DURATION", "-1.0") + "]}",
        '{"changed_inputs": ["' + "x" * 201 + '"]}',
        "[" * 100_000,
        "nonsense",
        "[]",
    ],
)
def test_another_form_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "answer").write_text(text)

    with pytest.raises(BadAnswerError, match="not in the form of one") as refused:
        read_answer(tmp_path / "answer")

    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_no_answer_and_too_long_a_one_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = tmp_path / "answer"
    answer.touch()
    with pytest.raises(BadAnswerError, match="ended without an answer"):
        read_answer(answer)

    monkeypatch.setattr(protocol, "MAX_ANSWER_BYTES", 10)
    answer.write_text('{"wall_us": 6.5}')
    with pytest.raises(BadAnswerError, match="has 16 bytes; at most 10 are read"):
        read_answer(answer)
