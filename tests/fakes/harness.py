"""The fixture repository that behaves like a harness of the field, and profiles for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kernel.harness.profile import Data, Profile, Replay
from kernel.harness.profiles import find

ROOT = Path(__file__).with_name("harness_repo")


def shipped(**limits: Any) -> Profile:
    """The shipped profile of pypto-lib, with other limits."""
    profile = find("pypto-lib")
    return profile.model_copy(update={"limits": profile.limits.model_copy(update=limits)})


def keeping(**limits: Any) -> Profile:
    """That of a harness which keeps its outputs, too."""
    profile = shipped(**limits)
    replay = profile.data.replay
    assert isinstance(replay, Replay)
    return profile.model_copy(update={"data": Data(replay=replay, outputs=["build_output/*/actual/*.pt"])})
