"""What the service asks `farm run` for is what `farm run` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from ci.config.target import Target
from ci.queue.claims import JobClaim
from ci.queue.job_targets import PlannedTarget
from ci.queue.options import JobOptions
from ci.runner.git_mirror import Commits
from ci.runner.run_command import run_command
from ci.store.states import JobKind
from farm.cli.app import main
from farm.model.priority import Priority
from tests.ci.configuration import configuration

KERNEL = {"name": "k", "kernel": "qkv_proj_rope", "cases": ["tiny"]}
SUITE = {"name": "s", "suite": "pypto-lib", "files": ["models/**/*", "--json"], "witnesses": 3}


def words(directory: Path, target: dict[str, Any], base: str = "b" * 40, **asked: Any) -> list[str]:
    """The command of a fork's job for one target."""
    config = configuration(directory)
    options = JobOptions(devices=asked.pop("devices", None))
    claim = JobClaim(
        id="1" * 32,
        repository=config.repository[0],
        kind=JobKind.PULL_REQUEST,
        subject="pull/7",
        number=7,
        head_sha="a" * 40,
        base_sha=base,
        from_fork=True,
        priority=Priority.PULL_REQUEST,
        options=options,
        approved_by="will",
        run_id="20260101-000000-000001",
        process=None,
        attempts=1,
    )
    plan = PlannedTarget(Target(**target, platform="a2a3sim", devices=3, repeats=2), **asked)
    return run_command(["farm"], claim, plan, Commits(directory, "a" * 40, base), config, directory)


def understood(command: list[str]) -> dict[str, Any]:
    """What the command line makes of it."""
    with click.Context(main) as outer:
        run = main.get_command(outer, "run")
        assert run is not None
        return dict(run.make_context("run", command[2:], parent=outer).params)


def test_a_suite_is_run_at_a_commit_against_its_base(tmp_path: Path) -> None:
    found = understood(words(tmp_path, SUITE, changed_only=True))

    assert (found["harness"], found["patterns"]) == ("pypto-lib", ("models/**/*", "--json"))
    assert (found["devices"], found["repeats"], found["witnesses"]) == (3, 2, 3)
    assert (found["source"], found["commit"], found["base"]) == (tmp_path, "a" * 40, "b" * 40)
    assert found["changed_only"] and found["require_sandbox"]
    assert found["run_id"] == "20260101-000000-000001" and found["priority"] == "pull-request"


def test_a_suites_workflow_is_handed_on(tmp_path: Path) -> None:
    assert understood(words(tmp_path, {**SUITE, "workflow": "gate"}))["workflow"] == "gate"
    assert understood(words(tmp_path, SUITE))["workflow"] is None


def test_a_kernel_is_run_at_a_commit_with_its_cases(tmp_path: Path) -> None:
    found = understood(words(tmp_path, KERNEL))

    assert (found["kernel"], found["cases"], found["devices"], found["repeats"]) == ("qkv_proj_rope", ("tiny",), 3, 2)
    assert (found["commit"], found["base"], found["require_sandbox"]) == ("a" * 40, "b" * 40, True)


@pytest.mark.parametrize(("devices", "witnesses"), [(2, 2), (5, 3)])
def test_fewer_devices_have_no_more_witnesses(tmp_path: Path, devices: int, witnesses: int) -> None:
    found = understood(words(tmp_path, SUITE, base="", devices=devices))

    assert (found["devices"], found["witnesses"], found["base"]) == (devices, witnesses, None)
