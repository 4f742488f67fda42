"""`farm run --server`: a service's verdict as one's own exit code, over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ci.api import tokens
from ci.store.engine import open_database
from ci.store.states import Scope
from farm.cli.app import main
from tests.ci.configuration import executing
from tests.ci.farm_serve import FARM, FarmServe
from tests.fakes import recorded_runs, serve_quickly
from tests.fakes.git_remote import PROGRAM, SAYS, GitRemote
from tests.fakes.github_api import GitHubApi
from tests.fakes.served import served

pytestmark = pytest.mark.service


class Service:
    """A service that executes jobs, and a token for it."""

    def __init__(self, directory: Path, forge_url: str) -> None:
        self.remote = GitRemote(directory / "remote.git")
        executing(directory, forge_url, self.remote.url)
        recorded_runs.record(directory / "evidence")
        self.runs = directory / "home" / "service" / "runs"
        self.process = FarmServe(directory, sys.executable, "-m", serve_quickly.__name__)
        self.token = tokens.create(open_database(self.process.store, print), "me", [Scope.READ, Scope.SUBMIT])

    def command(self, *words: str) -> list[str]:
        return [FARM, "run", "--server", self.process.url, "--repository", "octo-org/kernels", *words]

    def run(self, *words: str, token: str = "") -> Result:
        """The command, in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.remote.path)
            return CliRunner().invoke(main, self.command(*words)[1:], env={"FARM_TOKEN": token or self.token})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(GitHubApi().app()) as url:
        made = Service(tmp_path_factory.mktemp("service"), url)
        with made.process:
            yield made


def test_the_head_around_is_submitted_and_its_verdict_is_the_exit_code(service: Service) -> None:
    done = service.run("--json")

    record = json.loads(done.stdout)
    assert (done.exit_code, record["verdict"], record["commit"]) == (0, "passed", service.remote.main)
    assert "9 trials" in done.stderr  # the run's own words
    assert service.token not in done.stdout + done.stderr


def test_a_commit_is_run_against_the_base_it_was_submitted_with(service: Service) -> None:
    head = service.remote.commit({SAYS: "passed", PROGRAM: "faster"}, service.remote.main, ref="refs/heads/faster")
    ahead = service.remote.commit({"README": "ahead"}, service.remote.main, ref="refs/heads/ahead")

    done = service.run("--commit", "faster", "--base", ahead, "--case", "tiny", "--json")

    assert done.exit_code == 0, done.stderr
    words = json.loads((service.runs / json.loads(done.stdout)["run_id"] / "words.json").read_text())
    assert (words[words.index("--commit") + 1], words[words.index("--base") + 1]) == (head, service.remote.main)
    assert words[words.index("--case") + 1] == "tiny"
    assert "--require-sandbox" not in words  # whoever holds the token answers for the commit


def test_a_base_that_does_not_exist_is_told_as_errored(service: Service) -> None:
    done = service.run("--commit", "main", "--base", "d" * 40)

    assert done.exit_code == 3
    assert "d" * 12 in done.stderr


def test_a_service_that_is_killed_meanwhile_is_waited_for(service: Service, tmp_path: Path) -> None:
    service.remote.commit({SAYS: "failed"}, service.remote.main, ref="refs/heads/main")
    env = {**os.environ, "FARM_TOKEN": service.token}
    following = subprocess.Popen(
        service.command(), cwd=service.remote.path, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert following.stderr is not None
    assert "job" in following.stderr.readline()
    service.process.end(signal.SIGKILL)
    again = threading.Thread(target=service.process.start)
    again.start()

    said = following.communicate(timeout=400)[1]
    again.join()

    assert following.returncode == 1, said
    assert "failed: it is failed" in said


@pytest.mark.parametrize(
    ("words", "token", "code", "remedy"),
    [
        (["--repository", "octo-org/nothing"], "", 2, "has no [[repository]]"),
        ([], "farm_unknown", 2, "unknown, expired or revoked"),
        (["--repeats", "4"], "", 2, "says 'repeats'; leave it out"),
        (["--server", "nonsense"], "", 2, "no address of a service"),
        (["--server", "http://127.0.0.1:9"], "", 3, "does not answer"),
        (["--forge", "nowhere"], "", 2, "'nowhere'"),
    ],
)
def test_what_cannot_be_submitted_is_refused_in_one_line(
    service: Service, words: list[str], token: str, code: int, remedy: str
) -> None:
    done = service.run(*words, token=token)

    assert (done.exit_code, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1 and remedy in done.stderr
