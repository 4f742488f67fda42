"""The whole gate on one machine: real commits, `farm serve`, `farm run` in its sandbox, and a forge that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.sandbox import bubblewrap
from kernel import qkv_proj_rope
from tests.ci.configuration import executing
from tests.ci.deliveries import deliver
from tests.ci.farm_serve import FarmServe
from tests.fakes.git_remote import GitRemote
from tests.fakes.github_api import GitHubApi
from tests.fakes.pulls import pull
from tests.fakes.served import served
from tests.waiting import came_true

pytestmark = [pytest.mark.service, pytest.mark.sim, pytest.mark.ray, pytest.mark.timeout(1200)]

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


@pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason="bubblewrap is not here, or does not work")
def test_pull_requests_are_judged_by_what_their_programs_do(tmp_path: Path) -> None:
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

            def told() -> bool:
                assert service.process.poll() is None, service.log()[-3000:]
                return {check["status"] for check in api.checks.values()} == {"completed"} and len(api.checks) == 2

            assert came_true(told, PATIENCE_S), service.log()[-3000:]
            log = service.log()

    checks = {str(check["head_sha"]): check for check in api.checks.values()}
    assert checks[harmless]["conclusion"] == "success", checks[harmless]
    assert checks[worse]["conclusion"] == "failure", checks[worse]
    assert "budget" in str(checks[worse]["output"])
    assert api.problems == [] and "Traceback" not in log
