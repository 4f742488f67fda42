"""What the scripts of a toolchain leave in the environment, sourced by a real bash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kernel.errors import HarnessError
from kernel.harness.activation import EnvironmentChange, change
from kernel.harness.launch import UnconfinedLauncher

# As CANN's: appends to variables that may not be there, and asks where it lies itself.
CANN = """
export ASCEND_TOOLKIT_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LD_LIBRARY_PATH=${ASCEND_TOOLKIT_HOME}/lib64:$LD_LIBRARY_PATH
export PATH=${ASCEND_TOOLKIT_HOME}/bin:$PATH
"""
# As that of a venv: a function, a variable of the shell alone, and one that is taken away.
VENV = """
deactivate () { unset -f deactivate; }
if [ -n "${PYTHONHOME:-}" ] ; then
    _OLD_VIRTUAL_PYTHONHOME="${PYTHONHOME:-}"
    unset PYTHONHOME
fi
VIRTUAL_ENV=/somewhere
export VIRTUAL_ENV
"""


def left(place: Path, *texts: str, **environment: str) -> EnvironmentChange:
    scripts = []
    for number, text in enumerate(texts):
        script = place / f"set env {number}.sh"
        script.write_text(text)
        scripts.append(str(script))
    work = place / "work"
    work.mkdir()
    given = {"PATH": os.environ["PATH"], **environment}
    return change(scripts, place, given, {"PRINTED": "1"}, work, UnconfinedLauncher(), (place,))


def test_scripts_as_they_are_in_the_field_leave_what_a_shell_would_have(tmp_path: Path) -> None:
    found = left(tmp_path, CANN, VENV, PYTHONHOME="/usr", KEPT="1")

    assert found.set == {
        "ASCEND_TOOLKIT_HOME": str(tmp_path),
        "LD_LIBRARY_PATH": f"{tmp_path}/lib64:",
        "PRINTED": "1",
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "VIRTUAL_ENV": "/somewhere",
    }
    assert found.unset == ("PYTHONHOME",)
    assert found.applied({"PYTHONHOME": "/usr", "KEPT": "1"}) == {**found.set, "KEPT": "1"}


def test_values_and_functions_come_through_as_they_are(tmp_path: Path) -> None:
    value = "two\nlines 'quoted' \"$HOME\" $(id) é"
    text = (
        f"export VALUE={_quoted(value)}\nenv () {{ echo fake; }}\nmodule () {{ echo x; }}\nexport -f module\nPATH=/none"
    )

    found = left(tmp_path, text)

    assert found.set["VALUE"] == value
    assert found.set["BASH_FUNC_module%%"].startswith("() {")
    assert found.set["PATH"] == "/none"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo ASCEND_HOME_PATH is required; return 3", "ended with exit code 3; it printed: ASCEND_HOME_PATH is"),
        ("exit 0", "ended the shell before its environment could be read"),
        ("if then", "ended with exit code"),
    ],
)
def test_a_script_that_does_not_activate_is_a_failing_set_up(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="set-up: ") as caught:
        left(tmp_path, text)

    assert caught.value.kind == "setup"
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("below", "kind"), [("repository", "setup"), ("toolkit", "platform-unavailable")], ids=["own", "the machine's"]
)
def test_a_script_that_is_not_there_is_the_repositorys_or_the_machines(below: str, kind: str, tmp_path: Path) -> None:
    script = tmp_path / below / "set_env.sh"

    with pytest.raises(HarnessError, match=f"there is no {script} to activate") as caught:
        change([str(script)], tmp_path / "repository", {}, {}, tmp_path, UnconfinedLauncher(), ())

    assert caught.value.kind == kind


def test_without_scripts_nothing_is_started(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"

    assert change([], nowhere, {}, {"A": "1"}, nowhere, UnconfinedLauncher(), ()) == EnvironmentChange({"A": "1"})


def test_a_change_takes_effect_in_the_command_alone(tmp_path: Path) -> None:
    made = EnvironmentChange({"LD_PRELOAD": "/none.so", "-odd": "a b", "KEPT": "1"}, ("GONE",))

    words = made.without(["KEPT"]).around(["/usr/bin/env", "-0"])
    found = subprocess.run(words, env={"GONE": "1", "HERE": "1"}, stdout=subprocess.PIPE, check=True).stdout

    assert sorted(found.split(b"\0")) == [b"", b"-odd=a b", b"HERE=1", b"LD_PRELOAD=/none.so"]
    assert made.without(["LD_PRELOAD", "-odd", "KEPT", "GONE"]).around(["a"]) == ["a"]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
