"""What workers share where their cluster ends with the command that started it: the farm's code as it was then.

Imported by the process that they are forked from (`farm.cluster.workers`). Loads no Ray.
"""

from __future__ import annotations

from farm.leasing import device_jobs, stage_board
from farm.process import installation

__all__ = ["CODE", "device_jobs", "stage_board"]

CODE = installation.current()  # read now: what is edited later is not what the workers run
