"""`farm prune` at the command line: what it says, what it leaves, mistakes in one line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from farm.cli.app import main
from farm.model.run import Verdict
from farm.store.run_store import Store
from tests.farm import samples

OLD = "20250101-120000-abcdef"
PASSED = "20250102-120000-abcdef"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FARM_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    out = tmp_path / "runs"
    with Store.open(os.environ["FARM_STORE"]) as store:
        for run_id, verdict in ((OLD, Verdict.FAILED), (PASSED, Verdict.PASSED)):
            store.begin(samples.run(run_id=run_id, verdict=None))
            store.finish(samples.run(run_id=run_id, verdict=verdict))
            (out / run_id).mkdir(parents=True)
            (out / run_id / "report.json").write_text("0123456789")
            for path in (out / run_id / "report.json", out / run_id):
                os.utime(path, (time.time() - 9 * 86400,) * 2)
    return out


def farm(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["prune", *words])
    return done.exit_code, done.output


def test_a_dry_run_says_what_would_go_and_removes_nothing(out: Path) -> None:
    code, said = farm("--older-than", "30d", "--dry-run", "--out", str(out))

    assert code == 0
    assert said.splitlines() == [
        f"would remove {out / OLD} (10 B)",
        f"kept {out / PASSED}: one of the newest passes of qkv_proj_rope on a2a3sim",
        "would remove 1 item, 10 B",
    ]
    assert (out / OLD).is_dir()


def test_what_is_old_goes_and_the_store_keeps_its_numbers(out: Path) -> None:
    code, said = farm("--older-than", "30d", "--out", str(out), "--json")

    told = json.loads(said)
    assert (code, [each["path"] for each in told["removed"]]) == (0, [str(out / OLD)])
    assert [path.name for path in out.iterdir()] == [PASSED]
    with Store.open(os.environ["FARM_STORE"]) as store:
        assert store.get(OLD).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name what may go"),
        (["--older-than", "soon"], "--older-than 'soon' is no age; write hours, days or weeks"),
        (["--older-than", "0d"], "--older-than '0d' is no age"),
        (["--traces-older-than", "-1d"], "--traces-older-than '-1d' is no age"),
        (["--max-size", "50"], "--max-size '50' is no size; write a number with KB, MB, GB or TB"),
    ],
)
def test_a_mistake_is_one_line_and_removes_nothing(words: list[str], told: str, out: Path) -> None:
    code, said = farm(*words, "--out", str(out))

    assert (code, len(said.strip().splitlines())) == (2, 1)
    assert told in said
    assert len(list(out.iterdir())) == 2
