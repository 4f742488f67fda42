"""The environment in which git is asked a question about a directory."""

from __future__ import annotations

import os


def clean() -> dict[str, str]:
    """Return this process's environment without what would make git answer for another repository.

    A hook, a rebase or an editor sets GIT_DIR, GIT_INDEX_FILE, GIT_WORK_TREE and more for its children; inherited, they
    win over the directory that is asked about.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
