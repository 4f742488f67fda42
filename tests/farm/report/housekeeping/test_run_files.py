"""Which directories of runs go, by age, count and size, and which stay whatever the rules say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from farm.model.run import Verdict
from farm.report.housekeeping.run_files import PruneRules, RunFiles, plan, survey, traces
from farm.store.run_store import Store
from tests.farm import samples

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def files(number: int, days: float, size: int = 10, group: str = "", stays: str = "") -> RunFiles:
    return RunFiles(Path(f"/runs/{number}"), NOW - timedelta(days=days), size, group, stays)


def names(found: list[RunFiles]) -> list[str]:
    return [each.directory.name for each in found]


def test_what_is_older_goes() -> None:
    chosen = plan([files(1, 40), files(2, 31), files(3, 29)], PruneRules(timedelta(days=30)), NOW)

    assert (names(chosen.go), chosen.stay) == (["1", "2"], [])


def test_the_oldest_go_until_the_rest_is_few_and_small_enough() -> None:
    found = [files(1, 4), files(2, 3, stays="it is under way"), files(3, 2, size=50), files(4, 1)]

    assert names(plan(found, PruneRules(most=2), NOW).go) == ["1", "3"]
    by_size = plan(found, PruneRules(most_bytes=70), NOW)
    assert (names(by_size.go), names(by_size.stay)) == (["1"], [])
    assert names(plan(found, PruneRules(most_bytes=0), NOW).go) == ["1", "3", "4"]


def test_the_newest_passes_of_each_kernel_and_platform_stay() -> None:
    found = [files(1, 50, group="k on p"), files(2, 40, group="k on p"), files(3, 35, group="other on p"), files(4, 34)]

    one = plan(found, PruneRules(timedelta(days=30)), NOW)
    assert (names(one.go), names(one.stay)) == (["1", "4"], ["2", "3"])
    assert one.stay[0].stays == "one of the newest passes of k on p"
    assert names(plan(found, PruneRules(timedelta(days=30), keep=2), NOW).go) == ["4"]


@given(
    found=st.lists(
        st.builds(files, st.integers(), st.floats(0, 99), st.integers(0, 99), st.sampled_from(["", "a", "b"]),
                  st.sampled_from(["", "", "under way"])),
        max_size=12,
        unique_by=lambda each: each.directory,
    ),
    rules=st.builds(
        PruneRules,
        st.one_of(st.none(), st.builds(timedelta, st.integers(0, 99))),
        st.one_of(st.none(), st.integers(0, 600)),
        st.one_of(st.none(), st.integers(0, 12)),
        st.integers(1, 3),
    ),
)  # fmt: skip
def test_whatever_the_rules_what_must_stay_stays_and_limits_hold(found: list[RunFiles], rules: PruneRules) -> None:
    found = sorted(found, key=lambda each: each.begun)
    chosen = plan(found, rules, NOW)
    gone = {each.directory for each in chosen.go}
    left = [each for each in found if each.directory not in gone]

    assert not [each for each in found if each.stays and each.directory in gone]
    for group in {each.group for each in found} - {""}:
        passes = [each.directory for each in found if each.group == group]
        assert not gone & set(passes[-rules.keep :])
    could_go = [each for each in left if not each.stays and not each.group]
    if rules.most is not None and len(left) > rules.most:
        assert not could_go
    if rules.most_bytes is not None and sum(each.size for each in left) > rules.most_bytes:
        assert not could_go


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        yield opened


def make(out: Path, name: str, *members: str, hours: float = 48.0) -> Path:
    directory = out / name
    directory.mkdir(parents=True)
    for member in members:
        path = directory / member
        path.parent.mkdir(exist_ok=True)
        path.write_text("0123456789")
        os.utime(path, (NOW.timestamp() - 3600 * hours,) * 2)
    os.utime(directory, (NOW.timestamp() - 3600 * hours,) * 2)
    return directory


def test_directories_are_found_with_what_they_are(tmp_path: Path, store: Store) -> None:
    out = tmp_path / "runs"
    ids = [f"2026112{day}-120000-abcdef" for day in range(1, 8)]
    for run_id, verdict in ((ids[0], Verdict.PASSED), (ids[1], Verdict.FAILED), (ids[2], None)):
        record = samples.run(run_id=run_id, verdict=verdict, directory=str(out / run_id))
        store.begin(record.model_copy(update={"verdict": None}))
        if verdict:
            store.finish(record)
        make(out, run_id, "report.json", "traces/t.json")
    make(out, ids[3], "report.json")  # nobody has imported it
    make(out, ids[4], "plan.json")
    make(out, ids[5], "bisect.json", hours=0.2)
    (out / "notes").mkdir()
    (out / ids[6]).symlink_to(tmp_path)

    with FileLock(make(out, "20261128-120000-abcdef", "plan.json", ".lock") / ".lock"):
        found = {each.directory.name: each for each in survey([out, out, tmp_path / "none"], store, NOW)}

    assert list(found) == [*ids[:6], "20261128-120000-abcdef"]
    assert found[ids[0]].group == "qkv_proj_rope on a2a3sim"
    assert (found[ids[0]].size, found[ids[0]].begun.day) == (20, 21)
    assert [found[ids[0]].stays, found[ids[1]].stays, found[ids[4]].stays] == ["", "", ""]
    assert found[ids[2]].stays == "it is under way"
    assert "farm runs import" in found[ids[3]].stays
    assert "within the last hour" in found[ids[5]].stays
    assert "within the last hour" in found["20261128-120000-abcdef"].stays


def test_only_timelines_of_older_runs_go(tmp_path: Path) -> None:
    for name in ("old", "new"):
        make(tmp_path, name, "traces/a.json")
    found = [RunFiles(tmp_path / "old", NOW - 9 * HOUR, 10), RunFiles(tmp_path / "new", NOW - HOUR, 10)]

    assert list(traces(found, 5 * HOUR, NOW)) == [(tmp_path / "old" / "traces", 10)]
