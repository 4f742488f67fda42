"""The shipped profile of repositories in Ascend C, held to what the build of one of them prints without a network."""

from __future__ import annotations

from pathlib import Path

from kernel.harness.process_tree import ProcessExit
from kernel.harness.profiles import find
from kernel.harness.reading import Reader
from kernel.harness.set_up_ending import StepOutput

RUN = Path(__file__).parents[2] / "data" / "ops-math-aug-2026" / "package_without_network"


def test_a_build_that_cannot_fetch_its_modules_is_never_the_commits_fault() -> None:
    profile = find("ascend-c")
    printed, code = (RUN / "output.txt").read_bytes(), int((RUN / "exit").read_text())
    output, reader = StepOutput(profile.setup[0]), Reader(profile)
    for part in (output, reader):
        part.feed(printed)
    output.close()

    failure = output.failure(ProcessExit(code), reader.close(), own=lambda program: True)

    assert failure is not None
    assert failure.kind == "fetch-failed"
    assert "set-up step package" in str(failure)
    assert "Could not resolve host: gitcode.com" in str(failure)
