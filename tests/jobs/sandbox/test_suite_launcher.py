"""A suite's file from a commit: what it sees, what it may use, and what of what it leaves is read."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from jobs.sandbox import bubblewrap
from jobs.sandbox.bubblewrap import Isolation
from jobs.sandbox.source_tree import Tree
from jobs.sandbox.spec import SuiteConfinement
from jobs.sandbox.suite_launcher import purge
from jobs.trial import run_trial
from kernel.harness.profile import Profile, parse
from kernel.platforms.command import Command

pytestmark = pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks)

PROFILE = f"""
name = "mine"
summary = "made for a test"
command = ["{sys.executable}", "{{file}}", "{{workdir}}", "{{device}}"]
files = {{ include = ["*"] }}
platforms = {{ sim = {{ simulated = true, clock = "host" }} }}
results = {{ by = "exit", failing = [3] }}
limits = {{ seconds = 60, disk_mb = 64 }}
"""


def trial(
    text: str, place: Path, profile: str = PROFILE, beside: dict[str, bytes] | None = None, *, required: bool = True
) -> TrialRecord:
    """The record of the file `run.py` with `text`, of a commit that has only it and what is `beside` it."""
    made: Profile = parse(profile, "mine.toml")
    tree = Tree.of(".", {"run.py": text.encode(), **(beside or {})})
    confinement = SuiteConfinement(made, (tree,), require_sandbox=required)
    request = TrialRequest(kernel=made.name, case="run.py", platform="sim", input_set="own", tree=tree.address)
    kernel, platform = confinement.arrange(request, Command(made, "sim", place), place / "cache")
    return run_trial(request, 5, "node/5", 0, 0, platform, place / "trial", place / "cache", kernel=kernel)


def printed(record: TrialRecord, place: Path) -> str:
    return (place / "trial" / record.log).read_text()


def test_it_runs_beside_its_own_files_and_sees_no_others(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token")
    text = (
        "import helper, os, sys\n"
        f"print(helper.WORD, os.path.exists({str(tmp_path / 'secret')!r}), os.environ['HOME'], sys.argv[2])\n"
        f"print(os.listdir('/home') if os.path.exists('/home') else [], 'FARM_STORE' in os.environ)\n"
    )

    record = trial(text, tmp_path, beside={"helper.py": b"WORD = 'beside'\n"})

    assert record.status is TrialStatus.OK, record.failure
    assert printed(record, tmp_path).splitlines() == ["beside False /tmp 5", "[] False"]


def test_it_reaches_no_network_and_may_not_write_to_its_repository(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = (
            "import socket, sys, pathlib\n"
            "for attempt in (\n"
            f"    lambda: socket.create_connection(('127.0.0.1', {port}), 2),\n"
            "    lambda: pathlib.Path(__file__).write_text('changed'),\n"
            "    lambda: pathlib.Path(__file__).with_name('new').write_text('new'),\n"
            "):\n"
            "    try:\n"
            "        attempt()\n"
            "        print('did it')\n"
            "    except OSError as error:\n"
            "        print(type(error).__name__)\n"
            "pathlib.Path(sys.argv[1], 'mine').write_text('mine')\n"
        )

        record = trial(text, tmp_path)

    assert record.status is TrialStatus.OK, record.failure
    said = printed(record, tmp_path).splitlines()
    assert said[0] == "ConnectionRefusedError"
    assert "did it" not in said


def test_a_file_that_must_run_in_its_repository_has_a_copy_of_its_own(tmp_path: Path) -> None:
    text = (
        "import pathlib\npathlib.Path('built').write_text('new')\n"
        "print(pathlib.Path.cwd() == pathlib.Path(__file__).parent)\n"
    )
    profile = PROFILE.replace('name = "mine"', 'name = "mine"\ndirectory = "{root}"')

    first = trial(text, tmp_path, profile)

    assert first.status is TrialStatus.OK, first.failure
    assert printed(first, tmp_path) == "True\n"
    assert not list((tmp_path / "cache").rglob("built"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "import os, sys\nopen(sys.argv[1] + '/a', 'wb').write(b'x' * (60 << 20))\n"
            "open(sys.argv[1] + '/b', 'wb').write(b'x' * (60 << 20))\nimport time\ntime.sleep(30)\n",
            "disk-quota",
        ),
        ("held = bytearray(b'x' * (400 << 20))\nimport time\ntime.sleep(30)\n", "over-limit"),
        ("import os, time\nfor _ in range(60): os.fork() or time.sleep(30)\ntime.sleep(30)\n", "over-limit"),
    ],
    ids=["disk", "memory", "processes"],
)
def test_what_it_may_use_is_bounded_and_the_same_everywhere_so_it_is_its_own_fault(
    text: str, kind: str, tmp_path: Path
) -> None:
    record = trial(text, tmp_path, PROFILE + "sandbox = { memory_mb = 200, processes = 32 }\n")

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.KERNEL, kind)


def test_an_endless_file_is_ended_with_everything_that_it_has_started(tmp_path: Path) -> None:
    text = "import os, time\nprint('begins', flush=True)\nos.setsid() if os.fork() else None\ntime.sleep(600)\n"

    record = trial(text, tmp_path, PROFILE.replace("seconds = 60", "seconds = 2"))

    assert record.failure is not None
    assert record.failure.kind == "hang"
    assert "begins" in record.failure.message


def test_a_link_that_it_leaves_is_not_followed_by_the_farm(tmp_path: Path) -> None:
    (tmp_path / "secret.xml").write_text("<testsuite><testcase name='stolen'/></testsuite>")
    profile = PROFILE.replace('by = "exit", failing = [3]', 'by = "junit", file = "j.xml"')
    text = f"import os, sys\nos.symlink({str(tmp_path / 'secret.xml')!r}, sys.argv[1] + '/j.xml')\n"

    record = trial(text, tmp_path, profile)

    assert not record.claims
    assert record.status is not TrialStatus.OK


def test_only_plain_files_and_directories_are_left(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "kept").write_text("kept")
    (tmp_path / "below" / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))

        purge(tmp_path)

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["below", "kept"]


def test_a_version_is_asked_where_the_commit_cannot_answer_unseen(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token")
    tool = f'toolchain = [{{ name = "cc", command = ["cat", "{tmp_path}/secret"] }}]\n'
    made = parse(tool + PROFILE, "mine.toml")
    tree = Tree.of(".", {"run.py": b""})
    root = tree.unpack(tmp_path / "cache")
    launcher = SuiteConfinement(made, (tree,), require_sandbox=True).launcher

    found = Command(made, "sim", root, launcher).toolchain()

    assert found["cc"] == "unknown: cat ended with exit code 1"


def test_a_program_of_a_directory_that_is_not_shown_is_found_beside_the_farms_python_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("python", "own-tool"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / "bin" / name).chmod(0o755)
    others = [each for each in os.environ["PATH"].split(os.pathsep) if not (Path(each) / "python").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), *others]))

    found = trial("import sys\nprint(sys.executable)\n", tmp_path / "a", PROFILE.replace(sys.executable, "python"))
    missing = trial("", tmp_path / "b", PROFILE.replace(sys.executable, "own-tool"))

    assert found.status is TrialStatus.OK, found.failure
    assert Path(printed(found, tmp_path / "a").strip()).parent == Path(sys.executable).parent
    assert missing.failure is not None
    assert (missing.failure.fault, missing.failure.kind) == (Fault.NODE, "platform-unavailable")
    assert "own-tool: No such file or directory in the sandbox; add its directory" in missing.failure.message


def test_without_a_sandbox_it_is_refused_where_one_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "isolation", lambda: Isolation(False, "bubblewrap is not installed"))

    refused = trial("print('ran')\n", tmp_path / "a")
    taken = trial("print('ran')\n", tmp_path / "b", required=False)

    assert refused.failure is not None
    assert (refused.failure.fault, refused.failure.kind) == (Fault.NODE, "platform-unavailable")
    assert taken.status is TrialStatus.OK


SET_UP = """
[[setup]]
name = "build"
command = ["bash", "build.sh", "{output}"]
outputs = ["out"]
artefacts = ["out/lib.so.1"]
activate = ["{root}/set_env.sh"]
capture = { PRINTED = "^printed (.*)$" }
"""
BUILD = """
mkdir "$1"; echo made > "$1/lib.so.1"; ln -s lib.so.1 "$1/lib.so"
echo x 2> /dev/null > /etc/passwd || echo printed $HOME, not writable
"""
ACTIVATE = "export LD_PRELOAD=/proc/self/environ FROM_SCRIPT=1"  # a library that no process can load


def test_a_commits_set_up_runs_confined_and_its_variables_stay_inside(tmp_path: Path) -> None:
    text = (
        "import os, pathlib\n"
        "print(pathlib.Path(__file__).with_name('out').joinpath('lib.so').read_text().strip())\n"
        "print(os.environ['PRINTED'], os.environ['FROM_SCRIPT'], os.environ['LD_PRELOAD'])\n"
        "print(os.access(pathlib.Path(__file__).with_name('out') / 'lib.so.1', os.W_OK))\n"
    )
    beside = {"build.sh": BUILD.encode(), "set_env.sh": ACTIVATE.encode()}

    records = [trial(text, tmp_path / name, PROFILE + SET_UP, beside) for name in ("a", "b")]

    assert [record.status for record in records] == [TrialStatus.OK] * 2, records[0].failure
    lines = printed(records[0], tmp_path / "a").splitlines()
    assert [line for line in lines if "ld.so" not in line] == [
        "made",
        "/tmp, not writable 1 /proc/self/environ",
        "False",
    ]
    assert not any("bwrap" in line for line in lines)
