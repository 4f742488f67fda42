"""Device nodes in the sandbox: the leased device's and those of all devices, to read and write, and no other's.

The nodes are made up of plain files: what bubblewrap binds is the same for both, and no driver is here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jobs.build import build
from jobs.sandbox import bubblewrap
from jobs.sandbox.commit_kernel import ForeignKernel, Origin
from jobs.sandbox.confined_platform import Confined
from jobs.trial import run_trial
from tests.fakes.plain_platform import NodePlatform
from tests.fakes.small_kernel import SmallKernel
from tests.jobs.hostile import LIMITS, program, request

pytestmark = pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)

GROUP = 43210  # as a driver gives its nodes to a group of its own


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with three devices and a toolkit outside the system's directories."""
    made = tmp_path / "machine"
    (made / "dev").mkdir(parents=True)
    for name in ("davinci0", "davinci1", "davinci2", "davinci_manager"):
        node = made / "dev" / name
        node.write_text(name)
        if os.getuid() == 0:
            os.chown(node, 0, GROUP)
        node.chmod(0o660)
    modules = made / "toolkit" / "python"
    modules.mkdir(parents=True)
    (modules / "acl_like.py").write_text("ANSWER = 42\n")
    return made


def found(root: Path, place: Path, action: str) -> dict[str, Any]:
    """What a program sees of the devices when it is built, or run on device 1."""
    prying = f"""
    import json, os, pathlib
    nodes = pathlib.Path({str(root)!r}) / "dev"
    told = {{"listed": sorted(os.listdir(nodes)), "toolkit": os.environ["TOOLKIT"]}}
    for name in ("davinci0", "davinci1", "davinci2", "davinci_manager"):
        try:
            with open(nodes / name, "r+") as node:
                told[name] = node.read()
                node.write("!")
        except OSError as error:
            told[name] = None
    import acl_like
    told["answer"] = acl_like.ANSWER
    try:
        open(acl_like.__file__, "a")
    except OSError:
        told["toolkit is read-only"] = True
    print("FOUND" + json.dumps(told))
    """
    body = f"{prying}\n    right(inputs, outputs)" if action == "run" else "right(inputs, outputs)"
    tree = program(body)
    if action == "build":
        lines = "\n".join(line[4:] for line in prying.splitlines())
        files = {path: lines.encode() + b"\n" + contents for path, contents in tree.files}
        tree = type(tree).of(tree.place, files)
    top = tree.unpack(place / "cache")
    origin = Origin("attacked:KERNEL", "attacked", ("attacked.py",))
    kernel = ForeignKernel(SmallKernel(), (top / "attacked.py",))
    platform = Confined(NodePlatform(root), origin, top, tree.place, LIMITS, require_sandbox=True)
    if action == "build":
        record = build(request(), platform, place / "cache", kernel=kernel)
        assert record.failure is None, record.failure
    else:
        trial = run_trial(request(), 1, "node/1", 0, 0, platform, place / "trial", place / "cache", kernel=kernel)
        assert trial.failure is None, trial.failure
    logs = [log.read_text() for log in place.rglob("*.log") if "FOUND" in log.read_text()]
    line = next(each for each in logs[0].splitlines() if each.startswith("FOUND"))
    return dict(json.loads(line.removeprefix("FOUND")))


@pytest.mark.parametrize(("action", "own"), [("run", "davinci1"), ("build", "davinci2")])
def test_only_the_leased_devices_node_is_there_and_can_be_written(
    root: Path, tmp_path: Path, action: str, own: str
) -> None:
    told = found(root, tmp_path, action)

    assert told["listed"] == [own, "davinci_manager"]
    others = {"davinci0", "davinci1", "davinci2"} - {own}
    assert {name: told[name] for name in others} == dict.fromkeys(others)
    assert (told[own], told["davinci_manager"]) == (own, "davinci_manager")
    assert (root / "dev" / own).read_text() == f"{own}!"
    assert {(root / "dev" / name).read_text() for name in others} == others
    assert (told["toolkit"], told["answer"]) == (str(root / "toolkit"), 42)
    assert told["toolkit is read-only"]


def test_a_machine_that_lacks_a_node_still_starts_the_program(root: Path, tmp_path: Path) -> None:
    (root / "dev" / "davinci_manager").unlink()

    told = found(root, tmp_path, "build")

    assert told["listed"] == ["davinci2"]
