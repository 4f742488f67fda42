"""Sizes below which a difference is none."""

from __future__ import annotations

# The swimlane gives times to 0.01 µs; below that two simulated times are equal.
RESOLUTION_US = 0.005


# Whatever the scatter: repeats on one device differ by up to 2 %, so devices that differ by less are equal.
MIN_SHARE = 0.02
