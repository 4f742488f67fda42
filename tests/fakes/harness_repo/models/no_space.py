"""Meets a full disk."""

import errno
import os

from golden import arguments, begin

if __name__ == "__main__":
    arguments()
    begin("NoSpace")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "kernels/aic/qproj.so")
