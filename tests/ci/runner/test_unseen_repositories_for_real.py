"""Repositories that the farm has never seen, gated through the service: Python files, pytest, a build script and CSV.

Real commits, `farm serve`, and runs in the sandbox on one Ray; the forge is a stand-in. All of it is long: what a trial
of each makes is in tests/jobs/sandbox/test_unseen_repositories.py, a check of a suite's pull request in
test_gate_for_real.py, and a run of each against its base in tests/farm/harness/test_unseen_repository.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.sandbox import bubblewrap
from tests import clusters
from tests.ci.configuration import TEXT, written
from tests.ci.deliveries import deliver
from tests.ci.farm_serve import FarmServe
from tests.fakes import unseen_repositories as unseen
from tests.fakes.git_remote import GitRemote
from tests.fakes.github_api import GitHubApi
from tests.fakes.pulls import pull
from tests.fakes.served import served
from tests.fakes.unseen_repositories import UnseenRepository
from tests.waiting import came_true

pytestmark = [
    pytest.mark.long,
    pytest.mark.service,
    pytest.mark.ray,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason="bubblewrap is not here, or does not work"),
]

PATIENCE_S = 1500.0
CLUSTER = '[cluster]\naddress = "{address}"\n'


def keys(suite: str, git: str, number: int) -> str:
    """The keys of a repository with `number` devices, each a witness that makes as many repeats."""
    terms = f'devices = {number}\nwitnesses = {number}\nrepeats = {number}\nplatform = "npu"\n'
    return f'suite = "./{suite}.toml"\npaths = ["csrc/**", "build.sh"]\n{terms}git = "{git}"\n'


def checks(
    place: Path, address: str, of: UnseenRepository, pulls: Sequence[dict[str, str]], number: int, held: int = 0
) -> list[dict[str, Any]]:
    """The check of each of `pulls` (path → text) of the repository, in their order; `held` wait for an approval."""
    remote = GitRemote(place / "remote.git")
    base = remote.commit(of.files, remote.main, ref="refs/heads/main")
    (place / f"{of.name}.toml").write_text(of.profile)
    api = GitHubApi()
    with served(api.app()) as url:
        head = TEXT.format(api_url=url, at_once=1).rpartition('kernel = "qkv')[0]
        written(place, head + keys(of.name, remote.url, number) + CLUSTER.format(address=address))
        with FarmServe(place) as service:
            heads = [propose(service, api, remote, at, base, files) for at, files in enumerate(pulls, start=1)]

            def ended() -> bool:
                assert service.process.poll() is None, service.log()[-3000:]
                over = [check for check in api.checks.values() if check["status"] == "completed"]
                titles = [str(check["output"]["title"]) for check in api.checks.values()]
                return (len(over), titles.count("Waits for an approval")) == (len(pulls) - held, held)

            assert came_true(ended, PATIENCE_S), service.log()[-3000:]
            assert "Traceback" not in service.log() and api.problems == []
    logs = [path.read_text(errors="replace") for path in (place / "home").rglob("*.log")]
    assert not any("did it" in log or "ghp_token" in log for log in logs)
    found = {str(check["head_sha"]): check for check in api.checks.values()}
    return [found[each] for each in heads]


def propose(
    service: FarmServe, api: GitHubApi, remote: GitRemote, number: int, base: str, files: dict[str, str]
) -> str:
    """A pull request with `files` changed; its head."""
    head = remote.pull(number, files, base)
    made = pull(number, 0)
    made["head"]["sha"], made["base"]["sha"] = head, base
    api.pulls[number] = made
    deliver(service.url, made)
    return head


@pytest.fixture
def two(tmp_path: Path) -> Iterator[str]:
    with clusters.local(devices=2) as address:
        yield address


@pytest.fixture
def three(tmp_path: Path) -> Iterator[str]:
    with clusters.local(devices=3) as address:
        yield address


CLASSES = {
    "ops/add.py": (unseen.WRONG, "output add"),
    "ops/mul.py": (unseen.SLOWER, "regression"),
    "ops/sub.py": (unseen.RACES, "determinism"),
    "ops/div.py": (unseen.HOSTILE, "over-limit"),
}


def test_a_pull_request_passes_and_one_that_is_wrong_slower_racing_and_hostile_fails_for_each(
    tmp_path: Path, two: str
) -> None:
    classes = {path: text for path, (text, _) in CLASSES.items()}
    golden = {"ops/add.py": unseen.ADD.replace("return x + y", "return y + x")}

    passed, failed, held = checks(tmp_path, two, unseen.PYTHON, [unseen.PYTHON.change, classes, golden], 2, held=1)

    assert passed["conclusion"] == "success", passed
    assert failed["conclusion"] == "failure", failed
    text = str(failed["output"])
    for path, (_, words) in CLASSES.items():
        assert path in text and words in text, text
    assert "ops/add.py: golden" in str(held["output"])


@pytest.mark.parametrize("of", unseen.EVERY, ids=lambda each: each.name)
def test_each_kind_of_repository_is_gated_with_three_devices_and_three_runs(
    of: UnseenRepository, tmp_path: Path, three: str
) -> None:
    """Digests, and medians against the base. The test above finds the same in small, for Python files; a trial of each
    kind is in tests/jobs/sandbox/test_unseen_repositories.py."""
    (check,) = checks(tmp_path, three, of, [of.change], 3)

    assert check["conclusion"] == "success", check
    text = str(check["output"])
    assert of.target in text and "9 trials" in text, text
    report = next((tmp_path / "home").rglob("report.json")).read_text()
    assert '"digest_by"' in report and '"regression"' in report and "better or equal" in report


@pytest.mark.parametrize("path", sorted(CLASSES))
def test_each_class_of_failure_fails_a_check_by_itself(path: str, tmp_path: Path, three: str) -> None:
    """With three devices and three runs. The test of all classes in one pull request stands for these."""
    text, words = CLASSES[path]

    (check,) = checks(tmp_path, three, unseen.PYTHON, [{path: text}], 3)

    assert check["conclusion"] == "failure", check
    assert words in str(check["output"])
