"""The whole gate on one machine: real commits, `farm serve`, `farm run` in its sandbox, and a forge that is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.sandbox import bubblewrap
from kernel import qkv_proj_rope
from tests import clusters
from tests.ci.configuration import TEXT, executing, written
from tests.ci.deliveries import deliver
from tests.ci.farm_serve import FarmServe
from tests.fakes.commits import KERNEL, program
from tests.fakes.git_remote import GitRemote
from tests.fakes.github_api import GitHubApi
from tests.fakes.harness import ROOT
from tests.fakes.installed import install
from tests.fakes.pulls import pull
from tests.fakes.served import served
from tests.waiting import came_true

pytestmark = [
    pytest.mark.service,
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason="bubblewrap is not here, or does not work"),
]

PLACE = "kernel/qkv_proj_rope"
TUNINGS = f"{PLACE}/tunings.toml"
TERMS = 'cases = ["tiny"]\ndevices = 2\nrepeats = 1\n'
PATIENCE_S = 900.0


def installed() -> dict[str, str]:
    """The installed kernel's files, as a repository has them."""
    top = Path(str(qkv_proj_rope.__file__)).parent
    files = [path for path in top.rglob("*") if path.suffix in (".py", ".toml")]
    return {f"{PLACE}/{path.relative_to(top).as_posix()}": path.read_text() for path in files}


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


PASSES, WRONG = "models/passes.py", "models/two_programs.py"
TARGETS = """devices = 2
repeats = 1
targets = [
    {{ kernel = "{kernel}", platform = "commit", devices = 1 }},
    {{ suite = "pypto-lib", files = ["models/**"], witnesses = 2 }},
]
git = "{git}"

[cluster]
address = "{address}"
"""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That of a Ray whose workers find the platform of the tests, and a kernel."""
    site = tmp_path / "site"
    install(site, monkeypatch, {"commit": "tests.fakes.commit_platform:CommitPlatform"}, {KERNEL: f"{KERNEL}:KERNEL"})
    (site / f"{KERNEL}.py").write_text(program(-1, ""))
    (site / "budgets.toml").touch()
    with clusters.local(devices=2) as found:
        yield found


def without_a_pass(text: str) -> str:
    """A file of a suite with its outputs compared as wrong."""
    wrong = (
        text.replace('passed(["kv", "qr"])', "wrong()")
        .replace("passed,", "wrong,")
        .replace("passed, ran", "ran, wrong")
    )
    assert wrong != text
    return wrong


def test_pull_requests_are_judged_by_a_kernel_and_by_the_files_that_they_touch(tmp_path: Path, address: str) -> None:
    """The smallest form, on one Ray: a pass of a file, and a commit whose kernel is slower and whose file is wrong."""
    passes = (ROOT / PASSES).read_text()
    golden = (ROOT / "golden/__init__.py").read_text()
    files = {"golden/__init__.py": golden, PASSES: passes, WRONG: passes, f"{KERNEL}.py": program(0, "wall_us = 40.0")}
    remote = GitRemote(tmp_path / "remote.git")
    base = remote.commit(files, remote.main, ref="refs/heads/main")
    api = GitHubApi()
    with served(api.app()) as url:
        head = TEXT.format(api_url=url, at_once=1).rpartition('kernel = "qkv')[0]
        written(tmp_path, head + TARGETS.format(kernel=KERNEL, git=remote.url, address=address))
        with FarmServe(tmp_path) as service:
            slower = {f"{KERNEL}.py": program(1, "wall_us = 41.0"), WRONG: without_a_pass(passes)}
            harmless = propose(service, api, remote, 1, base, {PASSES: f"{passes}# nothing else\n"})
            worse = propose(service, api, remote, 2, base, slower)
            rules = propose(service, api, remote, 3, base, {"golden/__init__.py": f"{golden}#\n"})
            new = propose(service, api, remote, 4, base, {"models/new.py": passes})
            await_checks(service, api, completed=2, held=2)
            log = service.log()

    checks = {str(check["head_sha"]): check for check in api.checks.values()}
    told = {head: str(check["output"]) for head, check in checks.items()}
    assert checks[harmless]["conclusion"] == "success", checks[harmless]
    assert PASSES in told[harmless] and WRONG not in told[harmless]
    assert checks[worse]["conclusion"] == "failure", checks[worse]
    assert "2 of 2 targets failed" in told[worse] and "regression" in told[worse] and "qr" in told[worse]
    assert "golden/__init__.py" in told[rules]
    assert "models/new.py" in told[new] and "by its own rules" in told[new]
    assert api.problems == [] and "Traceback" not in log


def await_checks(service: FarmServe, api: GitHubApi, completed: int, held: int) -> None:
    """Wait until so many checks are completed, and so many wait for an approval."""

    def told() -> bool:
        assert service.process.poll() is None, service.log()[-3000:]
        titles = [str(check["output"]["title"]) for check in api.checks.values()]
        over = [check for check in api.checks.values() if check["status"] == "completed"]
        return (len(over), titles.count("Waits for an approval")) == (completed, held)

    assert came_true(told, PATIENCE_S), service.log()[-3000:]


@pytest.mark.long
@pytest.mark.sim
def test_pull_requests_are_judged_by_what_their_programs_do(tmp_path: Path) -> None:
    """The whole form, with the reference kernel on the simulator. The test above finds the same in small."""
    files = installed()
    remote = GitRemote(tmp_path / "remote.git")
    base = remote.commit(files, remote.main, ref="refs/heads/main")
    slower = files[TUNINGS].replace("q_proj_merge = 1\nhead_merge = 1", "q_proj_merge = 2\nhead_merge = 2", 1)
    assert slower != files[TUNINGS]
    api = GitHubApi()
    with served(api.app()) as url:
        executing(tmp_path, url, remote.url)
        (tmp_path / "farm.toml").write_text((tmp_path / "farm.toml").read_text() + TERMS)
        with FarmServe(tmp_path) as service:
            said = f"# nothing that runs is different\n{files[TUNINGS]}"
            harmless = propose(service, api, remote, 1, base, {TUNINGS: said})
            worse = propose(service, api, remote, 2, base, {TUNINGS: slower})
            await_checks(service, api, completed=2, held=0)
            log = service.log()

    checks = {str(check["head_sha"]): check for check in api.checks.values()}
    assert checks[harmless]["conclusion"] == "success", checks[harmless]
    assert checks[worse]["conclusion"] == "failure", checks[worse]
    assert "budget" in str(checks[worse]["output"])
    assert api.problems == [] and "Traceback" not in log
