"""The commands in the deployment files are ones `farm` and `ray` understand."""

from __future__ import annotations

import functools
import re
import shlex
import warnings
from pathlib import Path

import click
import pytest
import yaml

from farm.cli.app import main

DEPLOY = Path(__file__).parents[3] / "ci" / "deploy"
PROGRAM = re.compile(r"(?:^|/)(farm|ray)$")


@functools.cache
def ray_cli() -> click.Command:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray Serve's, about pydantic
        from ray.scripts.scripts import cli

    found: click.Command = cli
    return found


def commands() -> list[list[str]]:
    """Every call of farm or ray, split into words."""
    found = []
    for unit in (DEPLOY / "systemd").glob("*.service"):
        found += [shlex.split(line) for line in re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)]
    config = yaml.safe_load((DEPLOY / "ray-up.yaml").read_text())
    found += [shlex.split(line) for key in config if key.endswith("start_ray_commands") for line in config[key]]
    job = yaml.safe_load((DEPLOY / "kubernetes" / "rayjob-validate.yaml").read_text())
    found.append(shlex.split(job["spec"]["entrypoint"]))
    cron = yaml.safe_load((DEPLOY / "kubernetes" / "cronjob-sweep.yaml").read_text())
    container = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    script = container["args"][0].replace("\\\n", " ")
    found += [shlex.split(call) for call in re.findall(r"\b(?:ray job (?:stop|submit)|farm sweep)\b[^;&\n']*", script)]
    serve = next(yaml.safe_load_all((DEPLOY / "kubernetes" / "serve.yaml").read_text()))
    return [*found, *(each["command"] for each in serve["spec"]["template"]["spec"]["containers"])]


def unknown_options(words: list[str]) -> list[str]:
    """Options in `words` that its command does not have."""
    at = next(index for index, word in enumerate(words) if PROGRAM.search(word))
    command, rest = main if Path(words[at]).name == "farm" else ray_cli(), words[at + 1 :]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"no command {rest[0]}"
        command, rest = found, rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    rest = rest[: rest.index("--")] if "--" in rest else rest  # what follows is another command's
    given = [word.split("=")[0] for word in rest if word.startswith("--")]
    return [option for option in given if option not in known]


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words)[-60:])
def test_every_option_exists(words: list[str]) -> None:
    assert unknown_options(words) == []


def test_an_option_that_does_not_exist_is_found() -> None:
    assert unknown_options(["farm", "sweep", "--budget-minute", "240"]) == ["--budget-minute"]
    assert unknown_options(["/x/ray", "start", "--hed"]) == ["--hed"]
