"""What a profile may say of its set-up steps, and which mistakes are refused before anything is run."""

from __future__ import annotations

import pytest

from kernel.harness.profile import Profile, ProfileError, parse

SMALL = """
name = "mine"
summary = "one"
command = ["run", "{file}", "-d", "{device}"]
results = { by = "exit" }
files = { include = ["*.py"] }
platforms = { sim = { simulated = true, clock = "host" } }
"""
STEP = '[[setup]]\nname = "build"\ncommand = ["make", "-C", "{root}", "DESTDIR={output}"]\noutputs = ["out"]\n'


def made(steps: str) -> Profile:
    return parse(SMALL + steps, "mine.toml")


def test_a_step_without_inputs_depends_on_every_file_and_has_no_network() -> None:
    profile = made(STEP + '[[setup]]\nname = "env"\nactivate = ["/opt/set_env.sh"]\nlimits = { seconds = 30 }\n')

    assert [step.name for step in profile.setup] == ["build", "env"]
    assert (profile.setup[0].inputs, profile.setup[0].network) == (["*"], False)
    assert profile.set_up_s == 1830


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ('name = "a"\n', "has neither command nor activate"),
        ('name = "a"\ncommand = ["true"]\n', "names no outputs, and what it makes elsewhere is thrown away"),
        ('name = "a"\nactivate = ["/x"]\noutputs = ["o"]\n', "has no command that could make its outputs"),
        ('name = "a b"\ncommand = ["true"]\noutputs = ["o"]\n', "name: String should match pattern"),
        ('name = "a"\ncommand = ["{device}"]\noutputs = ["o"]\n', "has {device}, which no set-up step has; known: {ou"),
        ('name = "a"\ncommand = ["{"]\noutputs = ["o"]\n', "write {{ and }} for braces"),
        ('name = "a"\ncommand = ["{output}"]\ncapture = { A = "(.)" }\n', "uses {output}, which is the first of"),
        ('name = "a"\ncommand = ["x"]\noutputs = ["../o"]\n', "'../o' is no path below the repository's root"),
        ('name = "a"\ncommand = ["x"]\noutputs = ["/o"]\n', "'/o' is no path below"),
        ('name = "a"\ncommand = ["x"]\noutputs = [".git/hooks"]\n', "'.git/hooks' is no path below"),
        ('name = "a"\ncommand = ["x"]\noutputs = ["o*"]\n', "'o*' has a wildcard"),
        ('name = "a"\ncommand = ["x"]\noutputs = ["o"]\nartefacts = ["p/*"]\n', "'p/*' of step 'a' is below none"),
        ('name = "a"\ncommand = ["x"]\ncapture = { A = "(.)(.)" }\n', "needs exactly one group"),
        ('name = "a"\ncommand = ["x"]\ncapture = { "A=B" = "(.)" }\n', "String should match pattern"),
        ('name = "a"\ncommand = ["x"]\ncapture = { A = "(.)" }\nskip_if_present = "x"\n', "would be missing where it"),
        ('name = "a"\ncommand = ["x"]\noutputs = ["o"]\nouputs = ["o"]\n', "no such key"),
        (f'name = "build"\n{STEP.partition("build")[2].partition(chr(10))[2]}', "two steps are called 'build'"),
        ('name = "a"\ncommand = ["x"]\noutputs = ["out/lib"]\n', "'out/lib' is made twice, or is part of"),
    ],
)
def test_a_step_that_cannot_mean_what_it_says_is_refused(step: str, told: str) -> None:
    with pytest.raises(ProfileError) as caught:
        made(f"{STEP}[[setup]]\n{step}")

    assert told in str(caught.value)
