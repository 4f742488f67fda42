"""Which targets of a suite a commit's changes concern, by git's objects alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from farm.harness.commit_changes import REFUSED, ChangesRequest, SuiteChanges, examine
from kernel.harness import profiles
from tests.fakes.git_remote import GitRemote

MAIN = 'if __name__ == "__main__":\n    pass\n'
BASE = {
    "models/one.py": f"from shared import x\n{MAIN}",
    "models/two.py": MAIN,
    "models/part.py": "x = 1\n",
    "models/no_sim.py": f"# ci: no-sim\n{MAIN}",
    "models/shared.py": "x = 1\n",
    "models/unused.py": "x = 1\n",
    "docs/tool.py": "x = 1\n",
    "csrc/add.cpp": "",
}


class Repository:
    """A suite's repository and one commit on top of its main branch."""

    def __init__(self, directory: Path) -> None:
        self.remote = GitRemote(directory / "remote.git")
        self.base = self.remote.commit(BASE, self.remote.main)

    def ask(
        self, changes: dict[str, str], files: tuple[str, ...] = ("models/**/*.py",), head: str = ""
    ) -> SuiteChanges:
        """What `changes` (path → text) concern."""
        return examine(self.request(changes, files, head))

    def request(
        self, changes: dict[str, str], files: tuple[str, ...] = ("models/**/*.py",), head: str = ""
    ) -> ChangesRequest:
        return ChangesRequest(
            repository=str(self.remote.path),
            head=head or self.remote.commit(changes, self.base),
            base=self.base,
            suite="pypto-lib",
            platform="a2a3sim",
            files=list(files),
            changes=sorted(changes),
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("path", "targets", "exercised"),
    [
        ("models/two.py", ["models/two.py"], True),
        ("models/shared.py", ["models/one.py"], True),
        ("models/unused.py", [], False),
        ("models/no_sim.py", [], False),
        (
            "csrc/add.cpp",
            ["models/one.py", "models/two.py"],
            False,
        ),  # it may concern any, and nobody knows that it does
        ("docs/index.html", [], False),
    ],
)
def test_a_change_concerns_the_files_that_are_or_import_it(
    repository: Repository, path: str, targets: list[str], exercised: bool
) -> None:
    text = BASE.get(path, "") + "# changed\n" if path.endswith(".py") else "changed"
    found = repository.ask({path: text})

    assert found.targets == targets
    assert found.exercised == ([path] if exercised else [])
    assert found.ignored == ([path] if path.startswith("docs/") else [])
    assert (found.new, found.whole) == ([], False)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/three.py", MAIN),
        ("models/part.py", MAIN),  # was a part of others
        ("models/no_sim.py", MAIN),  # was not for this platform
    ],
)
def test_what_the_base_did_not_judge_is_a_new_target(repository: Repository, path: str, text: str) -> None:
    found = repository.ask({path: text})

    assert (found.targets, found.new, found.exercised) == ([path], [path], [path])


@pytest.mark.parametrize("text", ["x = 1\n", f"# ci: no-sim\n{MAIN}"])
def test_a_target_that_is_no_longer_run_is_not_exercised(repository: Repository, text: str) -> None:
    found = repository.ask({"models/two.py": text})

    assert (found.targets, found.exercised) == ([], [])


def test_a_deleted_file_is_exercised_by_those_that_still_import_it(repository: Repository) -> None:
    entries = {path: ("100644", repository.remote.blob(text)) for path, text in BASE.items()}
    del entries["models/shared.py"], entries["models/two.py"]
    head = repository.remote.plant(entries, repository.base)

    found = repository.ask({"models/shared.py": "", "models/two.py": ""}, head=head)

    assert (found.targets, found.exercised) == (["models/one.py"], ["models/shared.py"])


def test_an_ignored_file_that_a_target_imports_has_all_of_them_run(repository: Repository) -> None:
    found = repository.ask(
        {"docs/tool.py": "x = 2\n", "models/two.py": f"import docs.tool\n{MAIN}"}, files=("models/**/*.py", "none/*.py")
    )

    assert found.targets == ["models/one.py", "models/two.py"] and found.whole
    assert "docs/tool.py" in found.exercised and found.ignored == []


def test_a_file_that_the_parser_gives_up_on_is_run_and_proves_nothing(repository: Repository) -> None:
    deep = "x = " + "(" * 100_000
    found = repository.ask({"models/two.py": f"import unused\n{deep}\n{MAIN}", "models/unused.py": "x = 2\n"})

    assert found.targets == ["models/two.py"] and found.exercised == ["models/two.py"]


def test_of_a_workflow_only_its_targets_are_touched_or_new(repository: Repository, tmp_path: Path) -> None:
    profile = tmp_path / "ours.toml"
    profile.write_text(f'task = [{{ name = "t", files = ["*/t*"] }}]\n{profiles.text_of("pypto-lib")}')
    asked = repository.request(dict.fromkeys(("models/one.py", "models/two.py", "models/new.py"), f"x = 2\n{MAIN}"))

    found = examine(asked.model_copy(update={"suite": str(profile), "workflow": "t"}))

    assert (found.targets, found.exercised, found.new) == (["models/two.py"], ["models/two.py"], [])


def test_it_answers_as_a_program(repository: Repository) -> None:
    asked = repository.request({"models/two.py": f"x = 2\n{MAIN}"})
    command = [sys.executable, "-m", "farm.harness.commit_changes"]

    done = subprocess.run(command, input=asked.model_dump_json().encode(), capture_output=True, check=True)
    gone = asked.model_copy(update={"head": "f" * 40})
    refused = subprocess.run(command, input=gone.model_dump_json().encode(), capture_output=True, check=False)

    assert SuiteChanges.model_validate_json(done.stdout).targets == ["models/two.py"]
    assert refused.returncode == REFUSED and len(refused.stderr.splitlines()) == 1
