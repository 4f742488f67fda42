"""Takes digests of a foreign program's tensors from inside its processes, and freezes its inputs.

This package is copied beside the program and runs in whatever Python that has, so it needs nothing but the standard
library. It reads values of torch and NumPy only where the program has loaded them. What it is to do is in one
environment variable, which child processes inherit. It changes nothing that the program sees: a failure of its own
becomes a line in the file of digests, and never an exception, an exit code or a line of output. Frozen inputs are the
one exception, and the profile asks for them.
"""

from __future__ import annotations

import atexit
import json
import os
import sys

from .digests import DigestWriter
from .finder import Finder

VARIABLE = "FARM_DIGESTS"


def begin() -> None:
    """Have the functions wrapped: those of modules that are loaded at once, all others when they are."""
    digests = DigestWriter(json.loads(os.environ[VARIABLE]))
    sys.meta_path.insert(0, Finder(digests.watched, digests.install))
    for name in digests.watched:
        if name in sys.modules:
            digests.install(sys.modules[name])
    atexit.register(digests.at_exit)
