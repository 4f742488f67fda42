"""What a profile can say beyond its lines: platforms, variants, single files, devices; and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernel.harness import invocation, profiles
from kernel.harness.kernel import HarnessCall
from kernel.harness.profile import Profile, ProfileError, parse
from kernel.harness.targets import file_of, targets, variant_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "profile.schema.json"
PAGE = DOCUMENT.with_name("suites.md")
SMALL = """
name = "mine"
summary = "one"
command = ["run", "{file}", "-d", "{device}"]
results = { by = "exit" }
files = { include = ["*.py"] }
platforms = { sim = { simulated = true, clock = "host" } }
"""


def small(more: str = "", **changes: str) -> Profile:
    text = SMALL
    for before, after in changes.items():
        text = text.replace(before, after)
    return parse(text + more, "mine.toml")


def known(profile: Profile, target: str, device: int = 4, beside: str = "") -> dict[str, str]:
    call = HarnessCall(beside=beside)
    return invocation.values(profile, Path("/repo"), "sim", target, call, device, Path("/work"))


def test_the_published_schema_is_the_codes() -> None:
    assert json.loads(DOCUMENT.read_text()) == Profile.model_json_schema(), (
        "farm suite schema > docs/profile.schema.json"
    )


def test_the_whole_profile_of_the_page_is_one_and_has_at_most_25_lines() -> None:
    page = PAGE.read_text()
    text = page[page.index('```toml\nname = "python"') :].split("```")[1].removeprefix("toml\n")

    assert parse(text, "docs/suites.md").name == "python"
    assert len(text.splitlines()) <= 25


@pytest.mark.parametrize("name", profiles.names())
def test_every_shipped_profile_is_good_and_says_what_it_was_written_against(name: str) -> None:
    profile = profiles.find(name)

    assert profile.name == name
    assert profile.written_against


@pytest.mark.parametrize(
    ("beside", "device", "range_", "index"),
    [("", "4", "4", "0"), ("5,6,7", "4,5,6,7", "4-7", "0,1,2,3"), ("5,9,2", "4,5,9,2", "2,4-5,9", "0,1,2,3")],
)
def test_devices_are_a_list_a_range_or_their_places_among_the_visible(
    beside: str, device: str, range_: str, index: str
) -> None:
    values = known(small(), "a.py", 4, beside)

    assert (values["device"], values["range"], values["index"]) == (device, range_, index)


def test_the_device_may_be_named_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("ASCEND_")]:  # other tests' process may have some
        monkeypatch.delenv(name)
    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", "0,1,2,3")
    profile = parse(
        SMALL.replace('"-d", "{device}"', '"-d", "{index}"')
        + 'environment = { inherit = ["ASCEND_*"], set = { ASCEND_RT_VISIBLE_DEVICES = "{device}" } }',
        "mine.toml",
    )
    values = known(profile, "a.py", 4, "6")

    assert invocation.words(profile, "a.py", HarnessCall(beside="6"), values) == ["run", "/repo/a.py", "-d", "0,1"]
    assert invocation.environment(profile, {}, values) == {"ASCEND_RT_VISIBLE_DEVICES": "4,6"}


def test_a_renumbering_variable_of_the_farms_own_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", "0,1,2,3")
    profile = small('environment = { inherit = ["*"] }')

    assert "ASCEND_RT_VISIBLE_DEVICES" not in invocation.environment(profile, {}, known(profile, "a.py"))


VARIANTS = """
variants = [
  { name = "decode", arguments = ["--mode", "decode"], files = ["models/*"] },
  { name = "ep4", arguments = ["--ep", "4"], files = ["models/moe*"], devices = 4 },
]
"""


def test_variants_of_a_file_are_targets_of_their_own() -> None:
    profile = small(VARIANTS)

    assert targets("models/qkv.py", profile) == ["models/qkv.py[decode]"]
    assert targets("models/moe.py", profile) == ["models/moe.py[decode]", "models/moe.py[ep4]"]
    assert targets("examples/a.py", profile) == ["examples/a.py"]
    assert file_of("models/moe.py[ep4]", profile) == "models/moe.py"
    assert variant_of("models/moe.py", profile) is None
    assert file_of("models/qkv.py[ep4]", profile) == "models/qkv.py[ep4]", "a variant that this file does not have"
    words = invocation.words(profile, "models/moe.py[ep4]", HarnessCall(), known(profile, "models/moe.py[ep4]"))
    assert words == ["run", "/repo/models/moe.py", "-d", "4", "--ep", "4"]


def test_limits_and_environment_are_the_platforms_and_the_files() -> None:
    text = """
per_file = [{ files = ["slow/*"], seconds = 1800, set = { VARIANT = "{pro}" } }]
limits = { seconds = 600, disk_mb = 10 }
"""
    profile = parse(SMALL.replace('clock = "host"', 'clock = "host", limits = { seconds = 300 }') + text, "mine.toml")

    assert (profile.of("a.py", "sim").limits.seconds, profile.of("a.py", "sim").limits.disk_mb) == (300, 10)
    slow = profile.of("slow/a.py", "sim")
    assert slow.limits.seconds == 1800 == profile.longest_s("sim")
    assert invocation.environment(slow, {}, known(profile, "slow/a.py"))["VARIANT"] == "{pro}"
    assert "VARIANT" not in profile.of("a.py", "sim").environment.set


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('results = { by = "exit" }', "", "lines.passed and lines.output are missing"),
        ('by = "exit"', 'by = "junit"', "by = 'junit' needs file"),
        ('by = "exit"', 'by = "csv", file = "a.csv"', "needs name, column and passing"),
        ('by = "exit"', 'by = "exit", failing = [0]', "failing has 0"),
        ('by = "exit"', 'by = "junit", file = "../a.xml"', "leaves the working directory"),
        ('"{device}"', '"0"', "names a {device}"),
        ('"{device}"', '"{index}"', "names a {device}"),
        ('clock = "host"', 'clock = "host", limits = { second = 1 }', "limits.second: no such key"),
        ('summary = "one"', 'flags = [{ option = "--a b" }]\nsummary = "one"', "flags.0.option"),
        ('summary = "one"', 'flags = [{ offered = "--a", arguments = ["--a"] }]\nsummary = "one"', "flags.0"),
    ],
)
def test_what_is_wrong_is_said(before: str, after: str, told: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(SMALL.replace(before, after), "mine.toml")

    assert told in str(caught.value)
