"""Room on the disk: a compiler that cannot write its files crashes, which looks like the kernel's fault."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

# PyPTO writes some tens of MB of intermediate files for one compile of the reference kernel.
LEAST_BYTES = 64 << 20


def require(directory: Path) -> None:
    """Raise `OSError` (ENOSPC) unless the disk that holds `directory` has `LEAST_BYTES` free."""
    free = shutil.disk_usage(directory).free
    if free < LEAST_BYTES:
        told = f"{free / 1e6:.1f} MB free, {LEAST_BYTES / 1e6:.0f} MB are needed"
        raise OSError(errno.ENOSPC, f"No space left on device: {told}", str(directory))


def is_out(directory: Path) -> bool:
    """Whether the disk that holds `directory` has less; False where it cannot be asked, being another machine's."""
    try:
        require(directory)
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False
