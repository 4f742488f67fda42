"""Programs that try what they must not: each is contained, blamed right, and told of in one line.

They run in the sandbox as a commit's program does, on a platform without PyPTO: as one that is built where the process
is the point, and as a trial where its outputs or its time are.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from jobs.records import BuildRecord, Failure, Fault, TrialRecord, TrialStatus
from jobs.sandbox import bubblewrap, system_calls
from jobs.sandbox.bubblewrap import Isolation
from jobs.sandbox.limits import SandboxLimits
from kernel.platforms.swimlane import read_trace
from tests.fakes.plain_platform import TASKS, WALL_US
from tests.fakes.small_kernel import SmallKernel
from tests.jobs.hostile import LIMITS, attempt, built, loaded, program

pytestmark = pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)

# How a program that has the process writes an answer of its own making, instead of the harness.
FORGE = """
import json, os
def forge(answer, outputs=b""):
    open("/run/farm/outputs", "r+b").write(outputs)
    open("/run/farm/answer", "w").write(answer if isinstance(answer, str) else json.dumps(answer))
    os._exit(0)
"""


def blamed(record: TrialRecord | BuildRecord) -> Failure:
    assert record.failure is not None
    if isinstance(record, TrialRecord):
        assert (record.wall_us, record.outputs) == (None, {})
    else:
        assert (record.predicted_us, record.fingerprint) == (None, "")
    assert "\n" not in record.failure.message
    assert len(record.failure.message) < 500
    return record.failure


def assert_kernel(record: TrialRecord | BuildRecord, kind: str, words: str) -> None:
    failure = blamed(record)
    assert (failure.fault, failure.kind) == (Fault.KERNEL, kind), failure
    assert isinstance(record, BuildRecord) or record.status is TrialStatus.FAILED
    assert words in failure.message


@dataclass(frozen=True, slots=True)
class Prying:
    """Two trials in a row of a program that is right, and looks around for what it must not see."""

    records: list[TrialRecord]
    found: list[dict[str, object]]  # what it found each time
    trace: tuple[object, ...]  # of the last


PRYING = """
import json, os, pathlib, resource, signal, socket
right(inputs, outputs)
found = {{}}
def attempt(name, what):
    try:
        found[name] = repr(what())[:300]
    except Exception as error:
        found[name] = None
found["environment"] = "hunter2" in repr(dict(os.environ)) or "FARM_HOME" in os.environ
attempt("network", lambda: socket.create_connection(("127.0.0.1", {port}), 3))
attempt("outside", lambda: socket.create_connection(("192.0.2.1", 80), 3))
attempt("store", lambda: open({store!r}).read())
attempt("references", lambda: open({references!r}).read())
attempt("home", lambda: os.listdir({home!r} + "/.ssh"))
attempt("etc", lambda: open("/etc/shadow").read())
attempt("write system", lambda: open("/usr/bin/planted", "w"))
attempt("write installation", lambda: open(json.__file__, "a"))
attempt("write farm", lambda: open("/run/farm/trusted/jobs/poison.py", "a"))
attempt("write job", lambda: open("/run/farm/job", "a"))
attempt("write root", lambda: open("/planted", "w"))
attempt("other processes", lambda: os.kill({pid}, 0))
found["processes"] = len([name for name in os.listdir("/proc") if name.isdigit()]) > 5
found["root"] = os.getuid() == 0 and {root}
most = {{"AS": 8 << 30, "CORE": 0, "CPU": {cpu_s}, "FSIZE": 64 << 20, "NOFILE": 1024}}
found["limits"] = [each for each in most if resource.getrlimit(getattr(resource, "RLIMIT_" + each))[1] > most[each]]
found["filter"] = {filtered} and "Seccomp:\\t2" not in open("/proc/self/status").read()
found["remembered"] = [place for place in ("/tmp", "/dev/shm") if os.path.exists(place + "/remembered")]
for place in ("/tmp", "/dev/shm"):
    pathlib.Path(place, "remembered").write_text("outputs")
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def prying(tmp_path_factory: pytest.TempPathFactory) -> Prying:
    place = tmp_path_factory.mktemp("prying")
    store, other = place / "store.sqlite", place / "cache" / "references" / "golden.safetensors"
    other.parent.mkdir(parents=True)
    for file in (store, other):
        file.write_text("secret")
    records, found = [], []
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setenv("FARM_SECRET_TOKEN", "hunter2")
        entry = PRYING.format(
            port=listener.getsockname()[1],
            store=str(store),
            references=str(other),
            home=str(Path.home()),
            pid=os.getpid(),
            root=os.getuid() == 0,
            cpu_s=LIMITS.cpu_s,
            filtered=bool(system_calls.compiled()[0]),
        )
        for _ in range(2):
            record = attempt(entry, place)
            assert record.failure is None, record.failure
            lines = (place / "trial" / record.log).read_text().splitlines()
            told = [line for line in lines if line.startswith("FOUND")]  # of all trials there so far
            records.append(record)
            found.append(json.loads(told[-1].removeprefix("FOUND")))
    return Prying(records, found, tuple(read_trace(place / "trial" / "trace.json.gz")))


def test_an_honest_program_is_measured_as_any_other(prying: Prying) -> None:
    for record in prying.records:
        assert (record.status, record.failure, record.wall_us, len(record.tasks)) == (TrialStatus.OK, None, WALL_US, 1)
        assert all(output.tolerance.passed for output in record.outputs.values())
        assert record.outputs
    assert prying.trace == TASKS


def test_nothing_of_the_farm_is_in_sight_and_nothing_is_remembered_from_run_to_run(prying: Prying) -> None:
    for found in prying.found:
        assert {name: value for name, value in found.items() if value} == {}
        assert len(found) == 18


def test_a_build_tells_the_knobs_in_force_and_is_made_once(tmp_path: Path) -> None:
    tree = program("right(inputs, outputs)")

    first, second = built(tree, tmp_path), built(tree, tmp_path)

    assert (first.failure, first.tuning, first.cached, second.cached) == (None, {"rows": 16}, False, True)
    assert first.predicted_us == WALL_US


def test_a_fork_bomb_hits_its_limit_and_is_gone(tmp_path: Path) -> None:
    record = loaded("import os\nwhile True:\n    os.fork()", tmp_path, dataclasses.replace(LIMITS, time_s=60))

    failure = blamed(record)
    assert failure.kind in ("kernel-raised", "over-limit", "worker-died", "hang")
    # The sandbox's first process has the trial's files in its command line; the others cannot outlive it.
    lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    left = [line for line in lines if str(tmp_path) in line]
    assert left == []


def test_a_full_scratch_directory_is_the_programs_own(tmp_path: Path) -> None:
    record = loaded("open('/tmp/big', 'wb').write(bytes(60 << 20))", tmp_path)

    assert_kernel(record, "kernel-raised", "No space left on device")


@pytest.mark.parametrize("file", ["outputs", "answer", "log"])
def test_files_it_answers_in_are_bounded(tmp_path: Path, file: str) -> None:
    record = loaded(f"open('/run/farm/{file}', 'wb').write(bytes(100 << 20))", tmp_path)

    assert blamed(record).fault is Fault.KERNEL
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert written < 2 * LIMITS.file_bytes


def test_endless_printing_is_ended(tmp_path: Path) -> None:
    record = loaded("while True:\n    print('x' * 100000)", tmp_path)

    assert_kernel(record, "over-limit", "MB written")
    (log,) = (tmp_path / "cache").rglob("platform.log")
    assert log.stat().st_size <= 2 * LIMITS.log_bytes


def test_memory_is_bounded(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, memory_bytes=1 << 30)

    record = loaded("hoard = []\nwhile True:\n    hoard.append(bytearray(32 << 20))", tmp_path, limits)

    failure = blamed(record)
    assert (failure.fault, failure.kind) in [(Fault.KERNEL, "over-limit"), (Fault.KERNEL, "kernel-raised")]


def test_a_hang_is_ended_as_one(tmp_path: Path) -> None:
    record = loaded("import time\ntime.sleep(3600)", tmp_path, dataclasses.replace(LIMITS, time_s=3))

    failure = blamed(record)
    assert (failure.fault is Fault.KERNEL, failure.kind) == (False, "hang")
    assert "no answer within 3 s" in failure.message


def test_a_crash_is_asked_of_another_device(tmp_path: Path) -> None:
    failure = blamed(loaded("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", tmp_path))

    assert (failure.fault, failure.kind) == (Fault.DEVICE, "worker-died")


def test_exit_without_an_answer_is_no_answer(tmp_path: Path) -> None:
    assert_kernel(loaded("import os\nos._exit(0)", tmp_path), "bad-answer", "ended without an answer")


def test_what_it_raises_is_one_plain_line(tmp_path: Path) -> None:
    record = loaded(r"raise ValueError('\x1b[31mred\nand more\x00')", tmp_path)

    assert_kernel(record, "kernel-raised", "ValueError: red and more?")


def test_a_program_that_does_not_import_says_why(tmp_path: Path) -> None:
    record = loaded("import nothing_like_it", tmp_path)

    assert_kernel(record, "kernel-raised", "No module named 'nothing_like_it'")


def test_a_pickle_is_not_unpickled(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    entry = FORGE + (
        "import pickle\n"
        "class Bomb:\n"
        f"    def __reduce__(self):\n        return (open, ({str(planted)!r}, 'w'))\n"
        "forge({'wall_us': 6.5}, pickle.dumps(Bomb()))"
    )

    assert_kernel(attempt(entry, tmp_path), "bad-answer", "no safetensors file")
    assert not planted.exists()


def test_an_answer_of_another_form_is_refused(tmp_path: Path) -> None:
    """`test_protocol.py` has the forms."""
    record = loaded(f"{FORGE}forge({{'wall_us': 6.5, 'surprise': 1}})", tmp_path)

    assert_kernel(record, "bad-answer", "not in the form")


# A forged answer with right outputs: only its times are a lie.
LIE = (
    FORGE
    + """
import torch
from safetensors.torch import save
right(inputs, outputs)
def lie(wall_us, duration_us, recorded_us):
    task = {"name": "t0", "stage": "all", "core": "AIV_1", "start_us": 0.0, "duration_us": duration_us}
    open("/run/farm/recording", "w").write(json.dumps([["t0", "all", "AIV_1", 0.0, recorded_us]]))
    forge({"wall_us": wall_us, "fingerprint": "f" * 64, "tasks": [task]}, save(outputs))
"""
)


def test_a_time_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Time, tasks and recording agree on this one; `test_validation.py` has those that contradict each other."""
    record = attempt(f"{LIE}lie(0.001, 0.001, 0.001)", tmp_path)

    assert_kernel(record, "bad-answer", "all cores together take to write the outputs")


# A program that has learnt the outputs for seed 0 by heart.
LEARNT = """
import torch
generator = torch.Generator().manual_seed(0)
draw = lambda shape: torch.randint(-1, 2, shape, generator=generator).to(torch.bfloat16)
learnt = {"x": draw((8, 2, 32)), "w": draw((32, 128))}
"""


def test_outputs_of_other_inputs_are_wrong_on_these(tmp_path: Path) -> None:
    known: dict[str, dict[str, torch.Tensor]] = {}
    exec(LEARNT, known)
    inputs = SmallKernel().inputs("small", "integers", 0)
    assert all(torch.equal(known["learnt"][name], inputs[name]) for name in inputs), "it is right on seed 0"

    drawn = attempt(f"{LEARNT}right(learnt, outputs)", tmp_path, seed=11)

    assert drawn.outputs and not any(output.tolerance.passed for output in drawn.outputs.values())


def test_unwritten_outputs_show_as_in_any_trial(tmp_path: Path) -> None:
    assert_kernel(attempt("pass", tmp_path), "unwritten-output", "output 'y'")


def test_writing_to_an_input_is_found(tmp_path: Path) -> None:
    record = attempt("right(inputs, outputs); inputs['x'].zero_()", tmp_path)

    assert_kernel(record, "input-changed", "input 'x'")


class TestWithoutBubblewrap:
    """What a machine without a working bubblewrap does and says."""

    @pytest.fixture(autouse=True)
    def bare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bubblewrap, "isolation", lambda: Isolation(False, "bubblewrap is not installed, so …"))

    def test_a_required_sandbox_is_refused(self, tmp_path: Path) -> None:
        failure = blamed(loaded("", tmp_path))

        assert (failure.fault, failure.kind) == (Fault.NODE, "platform-unavailable")
        assert "apt-get install bubblewrap" in failure.message

    def test_else_it_runs_with_limits_and_an_empty_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FARM_SECRET_TOKEN", "hunter2")
        source = "import os\nassert 'FARM_SECRET_TOKEN' not in os.environ"

        record = loaded(source, tmp_path, require=False)

        assert (record.failure, record.predicted_us) == (None, WALL_US)

    def test_a_hang_takes_its_children_along(self, tmp_path: Path) -> None:
        limits = SandboxLimits(time_s=6)
        sleep = ["sleep", str(100_000 + os.getpid())]  # tests run side by side
        source = f"import subprocess, time\nsubprocess.Popen({sleep})\ntime.sleep(3600)"

        record = loaded(source, tmp_path, limits, require=False)

        assert blamed(record).kind == "hang"
        left = [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == sleep]
        assert left == []


def test_a_bubblewrap_that_does_not_work_is_told_of_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    bubblewrap.isolation.cache_clear()
    try:
        found = bubblewrap.isolation()
    finally:
        bubblewrap.isolation.cache_clear()

    assert not found.bubblewrap
    assert "No permissions to create new namespace" in found.lacks
    assert "not isolated" in found.lacks
