"""What one Ascend 910B core holds, and the two guards every tiling needs: it divides, and it fits."""

from __future__ import annotations

from kernel.errors import GuardError

UB_BYTES = 192 * 1024
L1_BYTES = 512 * 1024
L0_BYTES = 64 * 1024  # L0A and L0B, each
L0C_BYTES = 128 * 1024
MIN_M = 16  # rows of the smallest cube tile


def divides(guard: str, whole: int, part: int) -> None:
    """Raise `GuardError` unless `part` divides `whole`."""
    if part < 1 or whole % part:
        raise GuardError(guard, whole, part, f"choose a divisor of {whole}")


def fits(guard: str, size: int, limit: int) -> None:
    """Raise `GuardError` where `size` bytes are more than `limit`."""
    if size > limit:
        raise GuardError(guard, size, limit, f"choose tiles of at most {limit} bytes")
