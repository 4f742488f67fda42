"""Numbers as words."""

from __future__ import annotations

import pytest

from farm.text import outliers, slugs


@pytest.mark.parametrize(
    ("share", "allowed", "total", "told"),
    [
        (1 / 8192, 0.0, 8192, "1 of 8,192 elements is an outlier, 0 allowed"),
        (2 / 3, 0.0, 3, "2 of 3 elements (66.7%) are outliers, 0 allowed"),
        (7 / 1_000_003, 5 / 1_000_003, 1_000_003, "7 of 1,000,003 elements are outliers, 5 allowed"),
        (1.0, 0.005, 1000, "1,000 of 1,000 elements (100.0%) are outliers, 5 allowed"),
    ],
)
def test_outliers_are_counted_because_a_share_hides_one_of_many(
    share: float, allowed: float, total: int, told: str
) -> None:
    assert outliers(share, allowed, total) == told


def test_names_of_directories_are_never_shared() -> None:
    long = "models/" + "x" * 120
    names = ["a/b.py", "a-b.py", "A-B.py", f"{long}/one.py", f"{long}/two.py", "plain.py"]

    found = slugs(names)

    assert len({each.lower() for each in found.values()}) == len(names)
    assert found["plain.py"] == "plain.py" and found["a/b.py"].startswith("a-b.py-")
    assert slugs(["a/b.py"]) == {"a/b.py": "a-b.py"}
