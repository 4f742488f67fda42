"""Harness profiles: what is shipped is good, and what is wrong with anybody's own is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.faults import diagnosis
from kernel.errors import UnknownNameError
from kernel.harness import head, profiles
from kernel.harness.profile import ProfileError, Timing, parse
from tests.fakes.harness import ROOT, keeping, shipped

SMALL = """
name = "mine"
summary = "my kernels"
command = ["run", "{file}", "{device}"]
[files]
include = ["*.py"]
[platforms.sim]
simulated = true
clock = "host"
[lines]
passed = '^PASS$'
output = '^(?P<name>\\w+) (?P<verdict>PASS|FAIL)$'
"""


@pytest.mark.parametrize("name", profiles.names())
def test_shipped_profiles_are_valid_and_speak_the_fault_tables_language(name: str) -> None:
    profile = profiles.find(name)

    assert profile.name == name
    assert {signature.kind for signature in profile.signatures} - {"device"} <= diagnosis.kinds()


def test_functional_simulators_of_pypto_lib_have_the_hosts_clock() -> None:
    clocks = {name: each.clock for name, each in profiles.find("pypto-lib").platforms.items()}

    assert clocks == {"a2a3": Timing.MEASURED, "a5": Timing.MEASURED, "a2a3sim": Timing.HOST, "a5sim": Timing.HOST}


def test_a_small_profile_is_enough(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SMALL)

    assert profiles.find(str(tmp_path / "mine.toml")).name == "mine"


BUDGET = """
[budgets.sim."a.py"]
ceiling_us = 12.5
source = "what the published kernel takes"
"""


def test_a_budget_is_for_a_platform_whose_times_mean_something() -> None:
    found = parse(SMALL.replace('"host"', '"simulated"') + BUDGET, "mine")

    assert found.budgets["sim"]["a.py"].ceiling_us == 12.5
    with pytest.raises(ProfileError, match=r"budgets\.sim: its times are the host's CPU time"):
        parse(SMALL + BUDGET, "mine")
    with pytest.raises(ProfileError, match="budgets names the unknown platform 'sim2'"):
        parse(SMALL + BUDGET.replace(".sim.", ".sim2."), "mine")
    with pytest.raises(ProfileError, match=r"budgets\.sim\.a\.py\.ceiling_us: Input should be greater than 0"):
        parse(SMALL + BUDGET.replace("12.5", "0"), "mine")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("name = ", "nam = "), "nam: no such key; did you mean 'name'? (and 1 more)"),
        (("[files]", "[fils]"), "fils: no such key; did you mean 'files'? (and 1 more)"),
        (('"{file}"', '"file"'), "command names no {file}"),
        (('"{device}"', '"0"'), "neither command nor environment names a {device}"),
        (("{device}", "{devices}"), "command.2: '{devices}' has the unknown placeholder {devices}"),
        (("^PASS$", "^PASS($"), "lines.passed: '^PASS($' is no regular expression"),
        (("(?P<name>", "(?P<nam>"), "has no group (?P<name>…)"),
        (("simulated = true", "simulated = 1.5"), "platforms.sim.simulated: "),
        (('clock = "host"', 'clock = "measured"'), "a simulator's times are not measured"),
        (("[files]", "files = ["), "is not TOML: "),
        (("[files]", "files = " + "[" * 5000), "is not TOML: its values are nested too deeply"),
        (("[lines]", "[data]\noutputs = ['../x']\n[lines]"), "data.outputs.0: '../x' leaves the working directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: tuple[str, str], told: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(SMALL.replace(*change), "mine.toml")

    assert told in str(caught.value)
    assert str(caught.value).startswith("harness profile mine.toml: ")
    assert "\n" not in str(caught.value)


def test_unknown_names_and_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")

    with pytest.raises(UnknownNameError, match=r"unknown harness 'pypto'; did you mean 'pypto-lib'"):
        profiles.find("pypto")
    with pytest.raises(ProfileError, match=r"gone\.toml: cannot be read: No such file"):
        profiles.find(str(tmp_path / "gone.toml"))
    with pytest.raises(ProfileError, match=r"latin\.toml: is not UTF-8"):
        profiles.find(str(tmp_path / "latin.toml"))


def test_marks_in_a_files_head_are_read() -> None:
    def told(name: str, platform: str) -> head.Head:
        return head.read(ROOT / "models" / name, keeping(), platform)

    assert told("two_cards.py", "a2a3sim").devices == 2
    assert told("passes.py", "a2a3sim").devices == 1
    assert "no-sim" in told("no_sim.py", "a2a3sim").skipped
    assert told("no_sim.py", "a2a3").skipped == ""
    assert not told("shared.py", "a2a3sim").runnable
    assert told("steady.py", "a2a3sim").replays
    assert not told("passes.py", "a2a3sim").replays


def test_a_mark_below_the_head_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text("#\n" * 60 + "# ci: devices=8\n")

    assert head.read(tmp_path / "late.py", shipped(), "a2a3").devices == 1
