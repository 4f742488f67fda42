"""The container file: well formed, and true to the repository. No engine is asked: none need be on this machine."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = ROOT / "ci" / "deploy" / "Containerfile"
INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD", "RUN"),
    *("SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}  # of the Dockerfile reference; MAINTAINER is deprecated


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, rest) of each logical line. Raises `ValueError` where a line is none."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and lines[-1].endswith("\\"):
        raise ValueError("the last line goes on")
    found = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        if word not in INSTRUCTIONS or not rest.strip():
            raise ValueError(f"no instruction: {line}")
        found.append((word, rest.strip()))
    return found


@pytest.fixture(scope="module")
def parsed() -> list[tuple[str, str]]:
    return instructions(FILE.read_text())


def of(parsed: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for instruction, rest in parsed if instruction == word]


def test_it_begins_with_a_base_and_its_stages_have_names(parsed: list[tuple[str, str]]) -> None:
    bases = of(parsed, "FROM")

    assert next(word for word, _ in parsed if word != "ARG") == "FROM"
    assert of(parsed, "ARG")[0].startswith("BASE=")
    assert all(base.startswith("${BASE}") for base in bases)
    stages = {base.partition(" AS ")[2] for base in bases[:-1]}
    assert {match for rest in of(parsed, "COPY") for match in re.findall(r"--from=(\S+)", rest)} == stages


def test_what_it_copies_is_in_the_repository(parsed: list[tuple[str, str]]) -> None:
    for rest in of(parsed, "COPY"):
        if not rest.startswith("--from"):
            *sources, target = shlex.split(rest)
            assert target.startswith("/")
            assert all((ROOT / source).exists() for source in sources), rest


def test_every_package_of_the_wheel_is_copied(parsed: list[tuple[str, str]]) -> None:
    copied = {source for rest in of(parsed, "COPY") for source in shlex.split(rest)[:-1]}

    assert {"kernel", "jobs", "farm", "ci", "pyproject.toml"} <= copied


def test_commands_are_shell_that_can_be_read_and_exec_form_is_json(parsed: list[tuple[str, str]]) -> None:
    for rest in of(parsed, "RUN"):
        assert shlex.split(rest)
    for word in ("ENTRYPOINT", "CMD", "VOLUME"):
        (rest,) = of(parsed, word)
        assert all(isinstance(part, str) for part in json.loads(rest))


def test_it_runs_as_the_user_the_manifests_run_it_as(parsed: list[tuple[str, str]]) -> None:
    manifest = (ROOT / "ci" / "deploy" / "kubernetes" / "raycluster.yaml").read_text()
    (user,) = of(parsed, "USER")
    (uid,) = set(re.findall(r"runAsUser: (\d+)", manifest))

    assert user == uid
    assert any(f"--uid {uid} " in rest for rest in of(parsed, "RUN"))
    assert [word for word, _ in parsed].index("USER") > max(
        place for place, (word, _) in enumerate(parsed) if word == "RUN"
    )


def test_torch_is_pinned_where_it_is_read(parsed: list[tuple[str, str]]) -> None:
    pins = (ROOT / "constraints" / "py311.txt").read_text().splitlines()

    assert len([pin for pin in pins if pin.startswith("torch==")]) == 1


@pytest.mark.parametrize("text", ["FORM x\n", "RUN\n", "FROM x\nRUN a \\\n"])
def test_what_is_no_container_file_is_seen(text: str) -> None:
    with pytest.raises(ValueError, match=r"no instruction|goes on"):
        instructions(text)
