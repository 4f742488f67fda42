"""How the farm knows its own comments and buttons again, and what keeps the text of others from commanding a forge."""

from __future__ import annotations

import re

RETRY_ACTION = "retry"  # identifier of the button on the check of an errored run


MARKER = "<!-- npu-kernel-farm"  # begins every comment of ours

# GitLab, and the robots of communities at Gitee and GitCode, execute lines such as "/merge" or "/approve" of a comment
# with the rights of its author, and reports quote what strangers wrote. "/farm" is none of their commands.
_COMMAND = re.compile(r"(?m)^(?=/(?!farm\b))")
_ZERO_WIDTH_SPACE = "\u200b"


def without_commands(text: str) -> str:
    """Return `text` with a zero-width space before each line that a forge could take for a command."""
    return _COMMAND.sub(_ZERO_WIDTH_SPACE, text)
