from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from kernel.platforms.compressed import compress, packed, unpacked

TEXT = "tasks, in µs\n" * 100


def test_what_is_packed_is_unpacked() -> None:
    assert unpacked(packed(TEXT)) == TEXT
    assert len(packed(TEXT)) < len(TEXT.encode()) / 5


def test_the_same_text_gives_the_same_bytes_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(TEXT)
    monkeypatch.setattr(time, "time", lambda: 4e9)

    assert packed(TEXT) == first


def test_a_file_is_replaced_by_one_that_other_programs_read(tmp_path: Path) -> None:
    (tmp_path / "lanes.json").write_text(TEXT)

    made = compress(tmp_path / "lanes.json")

    assert [path.name for path in tmp_path.iterdir()] == [made.name] == ["lanes.json.gz"]
    assert gzip.decompress(made.read_bytes()) == TEXT.encode()


def test_what_is_not_compressed_is_refused() -> None:
    with pytest.raises(OSError, match="Not a gzipped file"):
        unpacked(TEXT.encode())
