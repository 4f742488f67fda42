"""How the farm knows its own comments and buttons again."""

from __future__ import annotations

RETRY_ACTION = "retry"  # identifier of the button on the check of an errored run


MARKER = "<!-- npu-kernel-farm"  # begins every comment of ours
