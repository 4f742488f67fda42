"""What nobody planned for: one line for a person, everything in a file, whatever the message is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.process import crash_log


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("no\nsuch \x1b[31mthing"), r"unexpected ValueError: no such \x1b[31mthing; "),
        (KeyError("\ud800\0"), r"unexpected KeyError: '\ud800\x00'; "),
        (AssertionError(), "unexpected AssertionError; "),
        (UnprintableError(), "unexpected UnprintableError: (its message raises RuntimeError); "),
        (RuntimeError("9" * 100_000), "unexpected RuntimeError: 999"),
    ],
)
def test_it_is_one_line_that_names_the_log(error: Exception, says: str, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught:
        raise error

    told = crash_log.kept(caught.value, tmp_path / "logs")

    (log,) = (tmp_path / "logs").iterdir()
    assert told.startswith(says)
    assert told.endswith(f"please report it with {log}")
    assert told.isprintable()
    assert len(told) < 1000
    assert "test_crash_log.py" in log.read_text(encoding="utf-8")


def test_where_the_log_cannot_be_written_another_place_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    told = crash_log.kept(ValueError("x"), tmp_path / "file" / "logs")

    (log,) = tmp_path.glob("error-*.log")
    assert told.endswith(str(log))
