"""The fixture repository that behaves like a harness of the field, and profiles for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kernel.harness.profile import Data, Profile, Replay
from kernel.harness.profiles import find
from tests.processes import MARK

ROOT = Path(__file__).with_name("harness_repo")


def shipped(**limits: Any) -> Profile:
    """The shipped profile of pypto-lib, with other limits, and with a mark on each process it starts."""
    profile = find("pypto-lib")
    environment = profile.environment.model_copy(update={"set": {**profile.environment.set, MARK: str(os.getpid())}})
    limits_ = profile.limits.model_copy(update=limits)
    return profile.model_copy(update={"limits": limits_, "environment": environment})


def keeping(**limits: Any) -> Profile:
    """That of a harness which keeps its outputs, too."""
    replay = Replay(
        offered=r"--save-data[\s\S]*--golden-data",
        save=["--save-data"],
        data="build_output/*/data",
        use=["--golden-data", "{data}"],
    )
    data = Data(replay=replay, outputs=["build_output/*/actual/*.pt"])
    return shipped(**limits).model_copy(update={"data": data})
