"""The files for other CI systems and forges fit their published schemas, and call `farm` as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from farm.cli.exit_codes import ExitCode
from tests.ci.deploy.test_commands import unknown_options

RUNNER = "gitlab-ci-local@4.61.0"
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


def gitlab_script() -> str:
    return "\n".join(yaml.safe_load((CI / "snippets" / "gitlab-ci.yml").read_text())["farm"]["script"])


def jenkins_script() -> str:
    found = re.search(r"script: '''(.*?)'''", (CI / "snippets" / "Jenkinsfile").read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone whose origin has the branch main; a `farm` that writes down its words, and what an earlier run left."""
    bare, clone = tmp_path / "origin.git", tmp_path / "clone"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run([*git, "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    subprocess.run([*git, "clone", "--quiet", str(bare), str(clone)], check=True, capture_output=True)
    subprocess.run([*git, "-C", str(clone), "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "-C", str(clone), "push", "--quiet", "origin", "HEAD:main"], check=True)
    (clone / "farm-runs").mkdir()
    (clone / "farm-runs" / "old").touch()
    (tmp_path / "bin").mkdir()
    farm = tmp_path / "bin" / "farm"
    farm.write_text('#!/bin/sh\nprintf "%s\\n" farm "$@" > ../told; mkdir -p farm-runs/r\n')
    farm.chmod(0o755)
    return clone


def told_to_farm(checkout: Path, script: str, **variables: str) -> list[str]:
    """The words of the call to `farm` that a script makes in a checkout."""
    environment = {"PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}", "HOME": str(checkout), **variables}
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=checkout, env=environment, check=True)
    return (checkout.parent / "told").read_text().splitlines()


def head(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_gitlab_holds_a_merge_request_against_its_base_and_a_branch_alone(checkout: Path) -> None:
    request = {"CI_COMMIT_SHA": "merged", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "h1"}
    request["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = "b1"

    words = told_to_farm(checkout, gitlab_script(), **request)
    alone = told_to_farm(checkout, gitlab_script(), CI_COMMIT_SHA="c1")

    assert words[:9] == ["farm", "run", "qkv_proj_rope", "--source", ".", "--commit", "h1", "--base", "b1"]
    assert alone[5:8] == ["--commit", "c1", "--devices"]
    assert unknown_options(words) == unknown_options(alone) == []
    assert not (checkout / "farm-runs" / "old").exists()


def test_jenkins_holds_a_change_request_against_its_target_and_a_branch_alone(checkout: Path) -> None:
    words = told_to_farm(checkout, jenkins_script(), CHANGE_TARGET="main")
    alone = told_to_farm(checkout, jenkins_script())

    commit = head(checkout)
    assert words[:9] == ["farm", "run", "qkv_proj_rope", "--source", ".", "--commit", commit, "--base", commit]
    assert alone[5:8] == ["--commit", commit, "--devices"]
    assert unknown_options(words) == unknown_options(alone) == []
    assert not (checkout / "farm-runs" / "old").exists()


def test_an_errored_run_lets_nothing_pass() -> None:
    job = yaml.safe_load((CI / "snippets" / "gitlab-ci.yml").read_text())["farm"]
    jenkins = (CI / "snippets" / "Jenkinsfile").read_text()

    assert "allow_failure" not in job
    assert job["retry"]["exit_codes"] == [ExitCode.ERRORED]
    assert "if (code != 0) { error(" in jenkins and "unstable" not in jenkins


def of_action(tmp_path: Path, code: int = 0, **given: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    """What the action's script calls `farm` with, which then ends with `code`, and how the script ends."""
    farm = tmp_path / "farm"
    told = 'printf "%s\\n" farm "$@" > "$TOLD"; mkdir -p out/r; echo "## it is 100 % wrong" > out/r/report.md'
    farm.write_text(f"#!/bin/sh\n{told}\nexit {code}\n")
    farm.chmod(0o755)
    (tmp_path / "told").touch()
    defaults = {**dict.fromkeys(("SUITE", "COMMIT", "BASE", "CASES", "ADDRESS"), ""), "DEVICES": "2", "WAIT": "5"}
    defaults |= {"FARM": str(farm), "KERNEL": "k", "OUT": "out", "TOLD": str(tmp_path / "told")}
    defaults |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    [script] = [str(step["run"]) for step in _steps() if "run" in step]
    command, environment = ["bash", "-e", "-c", script], {**os.environ, **defaults, **given}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    return (tmp_path / "told").read_text().splitlines(), done


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_actions_script_keeps_the_exit_code_and_shows_the_report(tmp_path: Path, code: int) -> None:
    words, done = of_action(tmp_path, code, CASES="tiny flash-s1", ADDRESS="$(touch pwned)")

    assert done.returncode == code
    assert words[1:3] == ["run", "k"] and words.count("--case") == 2
    assert unknown_options(words) == []
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    assert (tmp_path / "summary").read_text() == "## it is 100 % wrong\n"
    annotation = "::error title=farm::it is 100 %25 wrong\n"
    assert done.stdout == (annotation if code else "")
    assert not (tmp_path / "pwned").exists()


def test_the_action_holds_a_commit_against_its_base_after_clearing_what_was_left(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()

    words, _ = of_action(tmp_path, COMMIT="h1", BASE="b1")
    alone, _ = of_action(tmp_path, COMMIT="h1")
    suite, _ = of_action(tmp_path, SUITE="pypto-lib", COMMIT="h1", BASE="b1", CASES="a.py b.py")

    assert words[-6:] == ["--source", ".", "--commit", "h1", "--base", "b1"]
    assert alone[-4:] == ["--source", ".", "--commit", "h1"]
    assert suite[1:4] == ["run", "--suite", "pypto-lib"] and suite[-3:] == ["--changed-only", "a.py", "b.py"]
    assert unknown_options(words) == []
    assert not (tmp_path / "out" / "old").exists()


@pytest.mark.parametrize("out", ["", "/", "/etc", "..", "a/../..", ".", "./"])
def test_the_action_empties_nothing_but_a_directory_of_the_workspace(tmp_path: Path, out: str) -> None:
    (tmp_path / "kept").touch()

    words, done = of_action(tmp_path, OUT=out)

    assert (done.returncode, words) == (2, [])
    assert done.stdout.startswith("::error title=farm::out must be a directory below")
    assert (tmp_path / "kept").exists()


@pytest.mark.long
def test_gitlabs_file_runs_in_a_local_runner_of_that_system(checkout: Path, tmp_path: Path) -> None:
    """The runner is a package of npm's registry. It evaluates the rules, and executes the job in a shell."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("rsync") is None:
        pytest.skip("no npm here, or no rsync, which the runner copies the checkout with")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path / "npm"), RUNNER]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    shutil.copy(CI / "snippets" / "gitlab-ci.yml", checkout / ".gitlab-ci.yml")
    runner = tmp_path / "npm" / "node_modules" / ".bin" / "gitlab-ci-local"
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    command = [str(runner), "farm", "--shell-isolation=false"]
    command += [
        "--variable",
        "CI_PIPELINE_SOURCE=merge_request_event",
        "--variable",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA=b1",
    ]

    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    words = (tmp_path / "told").read_text().splitlines()
    assert words[:9] == ["farm", "run", "qkv_proj_rope", "--source", ".", "--commit", head(checkout), "--base", "b1"]


def test_nothing_of_the_context_is_pasted_into_a_script() -> None:
    assert [step for step in _steps() if "${{" in str(step.get("run", ""))] == []


def _steps() -> list[dict[str, object]]:
    steps: list[dict[str, object]] = yaml.safe_load((CI / "action" / "action.yml").read_text())["runs"]["steps"]
    return steps
