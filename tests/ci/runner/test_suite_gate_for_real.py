"""The whole gate of a repository whose files check themselves: real commits, `farm serve`, and `farm run --suite`."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.sandbox import bubblewrap
from tests.ci.configuration import TEXT, written
from tests.ci.farm_serve import FarmServe
from tests.ci.runner.test_gate_for_real import PASSES, WRONG, await_checks, propose, without_a_pass
from tests.fakes.git_remote import GitRemote
from tests.fakes.github_api import GitHubApi
from tests.fakes.harness import ROOT
from tests.fakes.served import served

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1200)]

KEYS = 'suite = "pypto-lib"\nfiles = ["models/**"]\ndevices = 2\nwitnesses = 2\nrepeats = 1\n'


@pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason="bubblewrap is not here, or does not work")
def test_pull_requests_are_judged_by_the_files_that_they_touch(tmp_path: Path) -> None:
    """Each run starts a Ray of its own. `test_gate_for_real.py` has the same in small, on one Ray."""
    files = {
        "golden/__init__.py": (ROOT / "golden/__init__.py").read_text(),
        PASSES: (ROOT / PASSES).read_text(),
        WRONG: (ROOT / PASSES).read_text(),
    }
    remote = GitRemote(tmp_path / "remote.git")
    base = remote.commit(files, remote.main, ref="refs/heads/main")
    api = GitHubApi()
    with served(api.app()) as url:
        head = TEXT.format(api_url=url, at_once=1).rpartition('kernel = "qkv')[0]
        written(tmp_path, f'{head}{KEYS}git = "{remote.url}"\n')
        with FarmServe(tmp_path) as service:
            harmless = propose(service, api, remote, 1, base, {PASSES: f"{files[PASSES]}# nothing else\n"})
            broken = propose(service, api, remote, 2, base, {WRONG: without_a_pass(files[WRONG])})
            golden = propose(service, api, remote, 3, base, {"golden/__init__.py": f"{files['golden/__init__.py']}#\n"})
            new = propose(service, api, remote, 4, base, {"models/new.py": files[PASSES]})
            await_checks(service, api, completed=2, held=2)
            log = service.log()

    checks = {str(check["head_sha"]): check for check in api.checks.values()}
    assert checks[harmless]["conclusion"] == "success", checks[harmless]
    assert PASSES in str(checks[harmless]["output"]) and WRONG not in str(checks[harmless]["output"])
    assert checks[broken]["conclusion"] == "failure" and "qr" in str(checks[broken]["output"]), checks[broken]
    assert "golden/__init__.py" in str(checks[golden]["output"])
    assert "models/new.py" in str(checks[new]["output"]) and "by its own rules" in str(checks[new]["output"])
    assert api.problems == [] and "Traceback" not in log
