"""The files for other CI systems and forges fit their published schemas, and call `farm` as it is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from farm.cli.exit_codes import ExitCode
from tests.ci.deploy.test_commands import unknown_options

CI = Path(__file__).parents[3] / "ci"
SCHEMAS = {
    "action/action.yml": "vendor.github-actions",
    "snippets/github-actions.yml": "vendor.github-workflows",
    "snippets/gitlab-ci.yml": "vendor.gitlab-ci",
    "../.github/ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    "../.github/ISSUE_TEMPLATE/proposal.yml": "vendor.github-issue-forms",
    "../.github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
}
RULES = YamlLintConfig("{extends: default, rules: {document-start: disable, line-length: {max: 120}, truthy: disable}}")


def check(schema: str, file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", schema, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_fits_its_systems_schema_and_is_tidy(name: str) -> None:
    done = check(SCHEMAS[name], CI / name)

    assert done.returncode == 0, done.stdout
    assert [str(problem) for problem in linter.run((CI / name).read_text(), RULES)] == []


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "action.yml"
    wrong.write_text((CI / "action" / "action.yml").read_text().replace("using: composite", "using: nothing"))

    assert check("vendor.github-actions", wrong).returncode != 0


@pytest.mark.parametrize("name", ["gitlab-ci.yml", "Jenkinsfile"])
def test_the_commands_are_ones_that_farm_understands(name: str) -> None:
    found = re.findall(r"farm run [^'\n]*", (CI / "snippets" / name).read_text())

    calls = [shlex.split(line) for line in found if "--devices" in line]
    assert calls
    assert [unknown_options(words) for words in calls] == [[]] * len(calls)


def test_an_errored_run_lets_nothing_pass() -> None:
    job = yaml.safe_load((CI / "snippets" / "gitlab-ci.yml").read_text())["farm"]
    jenkins = (CI / "snippets" / "Jenkinsfile").read_text()

    assert "allow_failure" not in job
    assert job["retry"]["exit_codes"] == [ExitCode.ERRORED]
    assert "if (code != 0) { error(" in jenkins and "unstable" not in jenkins


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_actions_script_keeps_the_exit_code_and_shows_the_report(tmp_path: Path, code: int) -> None:
    farm = tmp_path / "farm"
    told = 'printf "%s\\n" "$@" > "$TOLD"; mkdir -p out/r; echo "# the report" > out/r/report.md'
    farm.write_text(f"#!/bin/sh\n{told}\nexit {code}\n")
    farm.chmod(0o755)
    given = {"FARM": str(farm), "KERNEL": "k", "DEVICES": "2", "CASES": "tiny flash-s1", "ADDRESS": "$(touch pwned)"}
    given |= {"WAIT": "5", "OUT": "out", "TOLD": str(tmp_path / "told")}
    given |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    [script] = [str(step["run"]) for step in _steps() if "run" in step]

    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env={**os.environ, **given}, check=False)

    words = ["farm", *(tmp_path / "told").read_text().splitlines()]
    assert done.returncode == code
    assert words[1:3] == ["run", "k"] and words.count("--case") == 2
    assert unknown_options(words) == []
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    assert (tmp_path / "summary").read_text() == "# the report\n"
    assert not (tmp_path / "pwned").exists()


def test_nothing_of_the_context_is_pasted_into_a_script() -> None:
    assert [step for step in _steps() if "${{" in str(step.get("run", ""))] == []


def _steps() -> list[dict[str, object]]:
    steps: list[dict[str, object]] = yaml.safe_load((CI / "action" / "action.yml").read_text())["runs"]["steps"]
    return steps
