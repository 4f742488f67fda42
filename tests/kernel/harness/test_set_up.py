"""Set-up steps as real processes: what they make, when they are made again, and whose fault it is that they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from kernel.harness import step_record
from kernel.harness.launch import Access, Launcher, UnconfinedLauncher
from kernel.harness.process_tree import Bounds, ProcessExit
from kernel.harness.profile import Profile, parse
from kernel.harness.set_up import SetupResult, prepare
from kernel.harness.step_record import SetupError
from tests.processes import MARK, running_for_this_test
from tests.waiting import until

PROFILE = """
name = "mine"
summary = "made for a test"
command = ["sh", "{file}", "{device}"]
results = { by = "exit" }
files = { include = ["*.sh"] }
platforms = { a2a3 = { simulated = false, clock = "measured" } }
limits = { seconds = 60, stop_seconds = 0.1 }
"""
BUILD = """
[[setup]]
name = "build"
command = ["sh", "build.sh", "{output}"]
inputs = ["build.sh", "source.txt"]
outputs = ["out"]
"""
PREPARES = """
import sys
from pathlib import Path
from kernel.harness.profile import parse
from kernel.harness.set_up import prepare
place = Path(sys.argv[1])
made = prepare(parse((place / "profile.toml").read_text(), "p"), "a2a3", place / "repository", place / "cache")
print(made.steps[0].cached)
"""


def profile(steps: str = BUILD) -> Profile:
    return parse(f'{PROFILE}environment = {{ set = {{ {MARK} = "{os.getpid()}" }} }}\n{steps}', "mine.toml")


def repository(place: Path, script: str, **more: str) -> Path:
    root = place / "repository"
    root.mkdir(parents=True, exist_ok=True)
    (root / "build.sh").write_text(script)
    (root / "source.txt").write_text("source\n")
    for name, text in more.items():
        (root / name).write_text(text)
    return root


class PlainLauncher:
    """Follows `Launcher` without limits, for steps that end by themselves: it takes a tenth of the time."""

    confined = False

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        access: Access,
    ) -> ProcessExit:
        done = subprocess.run(
            command, cwd=directory, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        on_output(done.stdout)
        return ProcessExit(done.returncode)


PLAIN, BOUNDED = PlainLauncher(), UnconfinedLauncher()


def prepared(
    place: Path, made: Profile | None = None, said: list[str] | None = None, launcher: Launcher = PLAIN
) -> SetupResult:
    on_progress = (said if said is not None else []).append
    return prepare(made or profile(), "a2a3", place / "repository", place / "cache", launcher, on_progress)


def refused(place: Path, made: Profile | None = None, launcher: Launcher = PLAIN) -> SetupError:
    with pytest.raises(SetupError) as caught:
        prepared(place, made, launcher=launcher)
    return caught.value


def listing(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_what_a_step_makes_is_in_its_place_for_the_trials_and_not_in_the_repository(tmp_path: Path) -> None:
    root = repository(tmp_path, 'mkdir "$1"; cat source.txt > "$1/made.txt"; echo changed > source.txt')
    before = listing(root)
    said: list[str] = []

    made = prepared(tmp_path, said=said, launcher=BOUNDED)

    assert said == ["set-up: build (1 of 1)"]
    assert (made.root / "out" / "made.txt").read_text() == "source\n"
    assert (made.root / "source.txt").read_text() == "source\n", "what a step changes beside its outputs is gone"
    assert listing(root) == before
    assert list(made.mounts) == ["out"]
    assert (made.mounts["out"] / "made.txt").stat().st_mode & 0o222 == 0
    assert [(step.name, step.cached, step.problem) for step in made.steps] == [("build", False, "")]


def test_the_same_contents_are_made_once_on_a_machine(tmp_path: Path) -> None:
    repository(tmp_path, 'mkdir "$1"; echo x > "$1/made"; echo a line')
    first = prepared(tmp_path)

    again = prepared(tmp_path)

    assert again.steps[0].cached
    assert (again.mounts, again.root) == (first.mounts, first.root)
    assert again.steps[0].seconds == first.steps[0].seconds
    assert again.steps[0].log is not None
    assert again.steps[0].log.read_text() == "a line\n"


@pytest.mark.parametrize("change", ["input", "mode", "command", "environment", "toolchain", "nothing"])
def test_what_decides_a_step_makes_another_address_and_nothing_else_does(change: str, tmp_path: Path) -> None:
    root = repository(tmp_path, 'mkdir "$1"; echo x > "$1/made"', other="1")
    first = prepare(profile(), "a2a3", root, tmp_path / "cache", PLAIN, toolchain={"cc": "1"})
    steps, tools = BUILD, {"cc": "1"}
    if change == "input":
        (root / "source.txt").write_text("another\n")
    elif change == "mode":
        (root / "build.sh").chmod(0o755)
    elif change == "command":
        steps = BUILD.replace('"{output}"', '"{output}", "more"')
    elif change == "toolchain":
        tools = {"cc": "2"}
    elif change == "nothing":
        (root / "other").write_text("2")
    changed = profile(steps)
    if change == "environment":
        own = changed.environment.model_copy(update={"set": {**changed.environment.set, "CC": "gcc"}})
        changed = changed.model_copy(update={"environment": own})

    second = prepare(changed, "a2a3", root, tmp_path / "cache", PLAIN, toolchain=tools)

    assert second.steps[0].cached is (change == "nothing")
    assert (second.steps[0].address == first.steps[0].address) is (change == "nothing")


def test_a_file_that_is_no_input_changes_the_trials_files_alone(tmp_path: Path) -> None:
    root = repository(tmp_path, 'mkdir "$1"; echo x > "$1/made"', other="1")
    first = prepared(tmp_path)
    (root / "other").write_text("2")

    second = prepared(tmp_path)

    assert second.steps[0].cached
    assert ((first.root / "other").read_text(), (second.root / "other").read_text()) == ("1", "2")


def test_a_step_sees_what_the_steps_before_it_made_and_printed(tmp_path: Path) -> None:
    repository(tmp_path, 'mkdir "$1"; echo one > "$1/made"; echo version: 7.1')
    two = (
        BUILD
        + "capture = { BUILD_VERSION = 'version: (\\S+)' }\n"
        + '[[setup]]\nname = "use"\noutputs = ["used"]\n'
        + """command = ["sh", "-c", 'cat out/made > used; echo "$BUILD_VERSION" >> used; echo more >> out/made']\n"""
    )

    made = prepared(tmp_path, profile(two))

    assert (made.root / "used").read_text() == "one\n7.1\n"
    assert (made.root / "out" / "made").read_text() == "one\n", "what another step made is its own copy"
    assert made.environment == {"BUILD_VERSION": "7.1"}


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        ("echo 'a.cpp:3: error: no such type'; echo 'make: *** [all] Error 2'; exit 2", "setup", "error: no such type"),
        ("exit 3", "setup", "set-up step build: exit code 3"),
        ("no-such-compiler -c a.c", "platform-unavailable", "no-such-compiler"),
        ("./tools/generate", "setup", "exit code 127"),
        ("echo 'fatal: unable to access https://x'; exit 1", "fetch-failed", "unable to access"),
        ("echo 'No space left on device'; exit 1", "disk-full", "No space left"),
        ("kill -9 $$", "killed-9", "SIGKILL"),
        ("true", "setup", "its output 'out' is not there"),
        ('mkdir "$1"', "setup", "its output 'out' is empty"),
        ('mkdir "$1"; : > "$1/made"', "setup", "its output 'out' is empty"),
        ('ln -s / "$1"', "setup", "its output 'out' is a link"),
    ],
)
def test_a_failing_step_says_whose_fault_it_is_and_leaves_nothing(
    script: str, kind: str, told: str, tmp_path: Path
) -> None:
    root = repository(tmp_path, script)

    error = refused(tmp_path)

    assert error.kind == kind
    assert told in str(error)
    assert list((tmp_path / "cache").glob("set-ups/*/*/step")) == []
    assert listing(root) == ["build.sh", "source.txt"]
    assert error.steps[-1].problem == str(error)
    assert error.steps[-1].log is not None
    assert error.steps[-1].log.name == "failed.log"


def test_a_program_that_is_not_installed_is_the_machines_fault(tmp_path: Path) -> None:
    repository(tmp_path, "")

    error = refused(tmp_path, profile(BUILD.replace('"sh"', '"no-such-program"')), BOUNDED)

    assert (error.kind, error.steps[-1].log) == ("platform-unavailable", error.steps[-1].log)
    assert "no-such-program" in str(error)


def test_a_step_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    repository(tmp_path, "echo compiling; sleep 1000 & sleep 1000")

    error = refused(tmp_path, profile(BUILD + "limits = { seconds = 1 }\n"), BOUNDED)

    assert error.kind == "setup-hang"
    assert "no end within 1 s" in str(error)
    assert "compiling" in str(error)
    assert running_for_this_test() == []


@pytest.mark.parametrize(
    "script",
    [
        "dd if=/dev/zero of=one bs=1M count=3 2> /dev/null",
        "i=0; while :; do i=$((i+1)); head -c 200000 /dev/zero > $i; done",
    ],
    ids=["one file", "many files"],
)
def test_a_step_that_fills_its_quota_is_ended(script: str, tmp_path: Path) -> None:
    repository(tmp_path, f'mkdir "$1"; cd "$1"; {script}')

    error = refused(tmp_path, profile(BUILD + "limits = { disk_mb = 1 }\n"), BOUNDED)

    assert error.kind == "disk-quota"
    assert "1 MB" in str(error)


def test_an_output_that_is_the_repositorys_own_is_not_taken_for_made(tmp_path: Path) -> None:
    root = repository(tmp_path, "echo nothing to do; [ ! -e source.txt ] || true")
    (root / "out").mkdir()
    (root / "out" / "made").write_text("stale")

    error = refused(tmp_path)

    assert "its output 'out' is the repository's own, and was not made again" in str(error)


def test_an_artefact_must_be_there_new_and_not_empty(tmp_path: Path) -> None:
    root = repository(tmp_path, 'echo log > "$1/build.log"')
    (root / "out").mkdir()
    (root / "out" / "operator.run").write_text("stale")
    wanted = profile(BUILD + 'artefacts = ["out/*.run"]\n')

    stale = refused(tmp_path, wanted)
    (root / "build.sh").write_text('echo log > "$1/build.log"; : > "$1/operator.run"')
    empty = refused(tmp_path, wanted)
    (root / "build.sh").write_text('echo log > "$1/build.log"; echo new > "$1/operator.run"')
    made = prepared(tmp_path, wanted)

    assert "'out/*.run' is the repository's own" in str(stale)
    assert "'out/*.run' is empty" in str(empty)
    assert (made.root / "out" / "operator.run").read_text() == "new\n"


def test_what_failed_twice_is_not_built_again_for_every_file(tmp_path: Path) -> None:
    repository(tmp_path, f"echo x >> {tmp_path}/tries; exit 1")

    told = [str(refused(tmp_path)) for _ in range(4)]
    tries = (tmp_path / "tries").read_text()
    step_record.forget_failures(tmp_path / "cache")
    forgotten = str(refused(tmp_path))

    assert tries == "x\nx\n", "the machine's fault can pass, so it is tried on a second device"
    assert [("failed 2 times" in each) for each in (*told, forgotten)] == [False, False, True, True, False]


@pytest.mark.parametrize(
    "value", ["$(touch owned)", "a b'c\"d", "{device}", "-rf / ; true", "é\\n", "%s%n"], ids=lambda value: repr(value)
)
def test_a_captured_value_is_a_value_and_nothing_else(value: str, tmp_path: Path) -> None:
    repository(tmp_path, "cat value", value=f"value={value}\n")
    both = (
        '[[setup]]\nname = "ask"\ncommand = ["sh", "build.sh"]\ncapture = { VALUE = "^value=(.*)$" }\n'
        + '[[setup]]\nname = "use"\ncommand = ["sh", "-c", \'printf "%s" "$VALUE" > used\']\noutputs = ["used"]\n'
    )

    made = prepared(tmp_path, profile(both))

    assert made.environment == {"VALUE": value}
    assert (made.root / "used").read_text() == value
    assert list(tmp_path.rglob("owned")) == []


def test_a_value_that_no_environment_can_hold_or_that_is_missing_is_refused(tmp_path: Path) -> None:
    asks = profile('[[setup]]\nname = "ask"\ncommand = ["sh", "build.sh"]\ncapture = { VALUE = "^value=(.*)$" }\n')
    repository(tmp_path, r"printf 'value=a\000b\n'")
    nul = refused(tmp_path, asks)
    repository(tmp_path, "echo other")

    assert "NUL byte in the value of VALUE" in str(nul)
    assert "printed no line that fits '^value=(.*)$', for VALUE" in str(refused(tmp_path, asks))


def test_a_step_is_skipped_where_what_it_makes_is_present(tmp_path: Path) -> None:
    repository(tmp_path, "exit 1", installed="yes")

    made = prepared(tmp_path, profile(BUILD + 'skip_if_present = "{root}/installed"\n'))

    assert [(step.name, step.skipped, step.address) for step in made.steps] == [("build", True, "")]
    assert made.root == tmp_path / "repository"


def test_with_inputs_only_a_step_has_nothing_else(tmp_path: Path) -> None:
    repository(tmp_path, 'mkdir "$1"; ls > "$1/seen"', secret="1")

    made = prepared(tmp_path, profile(BUILD + "inputs_only = true\n"))

    assert (made.root / "out" / "seen").read_text().split() == ["build.sh", "out", "source.txt"]


def test_an_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = repository(tmp_path, "true")
    (root / "source.txt").unlink()

    assert "the input 'source.txt' matches no file of the repository" in str(refused(tmp_path))


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    repository(tmp_path, f'echo x >> {tmp_path}/tries; sleep 1; mkdir "$1"; echo x > "$1/made"')
    (tmp_path / "profile.toml").write_text(f"{PROFILE}{BUILD}")

    running = [
        subprocess.Popen([sys.executable, "-c", PREPARES, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = sorted(process.communicate(timeout=120)[0].strip() for process in running)

    assert told == ["False", "True"]
    assert (tmp_path / "tries").read_text() == "x\n"


def test_what_was_interrupted_does_not_look_finished_and_is_made_again(tmp_path: Path) -> None:
    repository(tmp_path, 'mkdir "$1"; echo half > "$1/made"; [ -e "$WAIT" ] && sleep 1000; echo whole > "$1/made"')
    (tmp_path / "wait").touch()
    named = f'{PROFILE}environment = {{ set = {{ WAIT = "{tmp_path}/wait" }} }}\n{BUILD}'
    (tmp_path / "profile.toml").write_text(named)
    process = subprocess.Popen([sys.executable, "-c", PREPARES, str(tmp_path)], stdout=subprocess.PIPE)
    until(lambda: list((tmp_path / "cache").rglob("out/made")), what="the half of it")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (tmp_path / "wait").unlink()

    made = prepared(tmp_path, parse(named, "mine.toml"))

    assert not made.steps[0].cached
    assert (made.root / "out" / "made").read_text() == "whole\n"


def test_directories_that_hold_no_sources_are_neither_inputs_nor_copied(tmp_path: Path) -> None:
    root = repository(tmp_path, 'mkdir "$1"; ls -a > "$1/seen"')
    (root / ".venv").mkdir()
    (root / ".venv" / ".gitignore").write_text("# made by venv\n*\n")
    (root / ".git").mkdir()
    whole = profile(BUILD.replace('inputs = ["build.sh", "source.txt"]', ""))
    first = prepared(tmp_path, whole)
    (root / ".venv" / "more").write_text("1")

    second = prepared(tmp_path, whole)

    assert second.steps[0].cached
    assert (first.root / "out" / "seen").read_text().split() == [".", "..", "build.sh", "out", "source.txt"]
    assert (second.root / ".venv" / "more").read_text() == "1", "trials find it where it is"


def test_a_link_of_the_repository_leads_no_output_out_of_the_copy(tmp_path: Path) -> None:
    root = repository(tmp_path, 'mkdir -p "$1"; echo x > "$1/made"')
    (tmp_path / "outside").mkdir()
    (root / "build").symlink_to(tmp_path / "outside")

    error = refused(tmp_path, profile(BUILD.replace('outputs = ["out"]', 'outputs = ["build/out"]')))

    assert "its output 'build/out' is a link, or below one" in str(error)


def test_the_farms_own_runs_in_the_repository_change_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path, 'mkdir "$1"; ls > "$1/seen"')
    whole = profile(BUILD.replace('inputs = ["build.sh", "source.txt"]', ""))
    first = prepared(tmp_path, whole)
    (root / "farm-runs" / "20260101-000000-abcdef" / "logs" / "trial").mkdir(parents=True)
    (root / "farm-runs" / "20260101-000000-abcdef" / "progress.json").write_text("{}")

    second = prepared(tmp_path, whole)

    assert second.steps[0].cached
    assert second.root == first.root
