"""Jobs of several targets: each has a run of its own, and all have one check."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ci.config.target import Target
from ci.queue.claims import Claims, JobClaim
from ci.queue.job_queue import Queue
from ci.queue.job_targets import PlannedTarget
from ci.queue.options import JobOptions
from ci.queue.target_claims import TargetClaims
from ci.runner import suite_selection
from ci.runner.git_mirror import Commits
from ci.store.states import JobKind
from ci.store.tables import JOB_TARGET
from farm.harness.commit_changes import ChangesRequest, SuiteChanges, examine
from farm.model.audit import Actor
from farm.model.run import Verdict
from farm.store.engine import transaction
from farm.store.run_store import Store
from tests.ci.config.test_target import PROFILE
from tests.ci.configuration import TEXT, written
from tests.ci.runner.test_runner import Gate, gate, gone
from tests.fakes.git_remote import PROGRAM, SAYS
from tests.farm import samples

pytestmark = pytest.mark.service

__all__ = ["gate"]

MAIN = 'if __name__ == "__main__":\n    pass\n'
ALPHA, BETA = "alpha/one.py", "beta/one.py"
TARGETS = """
target_checks = {checks}
targets = [
    {{ kernel = "qkv_proj_rope", cases = ["tiny"], devices = 5 }},
    {{ suite = "./alpha.toml", files = ["alpha/**"], repeats = 2, witnesses = 3 }},
    {{ suite = "./beta.toml", files = ["beta/**/*.py"], paths = ["csrc/**"] }},
]
"""


async def concerned_here(commits: Commits, target: Target, changes: Sequence[str]) -> SuiteChanges:
    """As `suite_selection.concerned`, without its process, which takes more than a second."""
    asked = {"repository": str(commits.directory), "head": commits.head, "base": commits.base, "changes": [*changes]}
    terms = {"suite": target.suite, "platform": target.platform, "files": target.files}
    return examine(ChangesRequest.model_validate({**asked, **terms}))


@pytest.fixture
def several(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """As `whole`, where commits are examined in this process."""
    monkeypatch.setattr(suite_selection, "concerned", concerned_here)
    return configured(gate, tmp_path, TARGETS.format(checks="false"))


@pytest.fixture
def whole(gate: Gate, tmp_path: Path) -> Gate:
    """The gate of a repository with three targets, whose main branch has a file of each."""
    return configured(gate, tmp_path, TARGETS.format(checks="false"))


def configured(gate: Gate, directory: Path, keys: str) -> Gate:
    """`gate` with `keys` in place of its repository's kernel, and two profiles beside its configuration."""
    for name in ("alpha", "beta"):
        (directory / f"{name}.toml").write_text(PROFILE.replace('name = "pypto-lib"', f'name = "{name}"', 1))
    head = TEXT.format(api_url=str(gate.config.forge["github"].api_url), at_once=1).rpartition('kernel = "qkv')[0]
    gate.config = written(directory, f'{head}{keys}\ngit = "{gate.remote.url}"\n')
    found = gate.config.find("github", "octo-org/kernels")
    assert found is not None
    gate.repository = found
    files = {SAYS: "passed", ALPHA: MAIN, BETA: MAIN, "README.md": "kernels"}
    gate.remote.main = gate.remote.commit(files, gate.remote.main, ref="refs/heads/main")
    return gate


def targets(gate: Gate, *columns: str) -> list[tuple[Any, ...]]:
    with transaction(gate.engine, "read") as connection:
        query = select(*(JOB_TARGET.c[name] for name in columns)).order_by(JOB_TARGET.c.job_id, JOB_TARGET.c.position)
        return [tuple(row) for row in connection.execute(query)]


def words(gate: Gate, run_id: str) -> list[str]:
    """The command of a run."""
    path = Path(os.environ["FARM_HOME"]) / "service" / "runs" / run_id / "words.json"
    found: list[str] = json.loads(path.read_text())
    return found


def approve(gate: Gate, head: str) -> None:
    with transaction(gate.engine, "written", write=True) as connection:
        Queue(connection, gate.config, gate.repository).approve("pull/7", head, "will", "a test")


def test_a_commit_is_run_by_the_targets_that_it_touches_each_in_a_run_of_its_own(whole: Gate) -> None:
    several = whole
    head = several.remote.pull(7, {PROGRAM: "faster", ALPHA: f"x = 1\n{MAIN}"})
    several.queue(head)

    several.work(several.done)

    (kernel, of_kernel), (alpha, of_alpha) = targets(several, "name", "run_id")
    assert (kernel, alpha) == ("qkv_proj_rope", "alpha") and of_kernel != of_alpha
    assert several.jobs("verdict", "reason", "attempts") == [("passed", "2 targets passed", 1)]
    assert several.checks() == [("completed", "success")] and several.api.mergeable(head)
    assert words(several, of_kernel)[:2] == ["run", "qkv_proj_rope"]
    assert [words(several, of_kernel)[at + 1] for at, word in enumerate(words(several, of_kernel)) if word == "--case"]
    told = words(several, of_alpha)
    assert told[told.index("--suite") + 1].endswith("alpha.toml") and "--changed-only" in told
    assert told[-2:] == ["--", "alpha/**/*"] and told[told.index("--repeats") + 1] == "2"
    assert told[told.index("--witnesses") + 1] == "3" and "--witnesses" not in words(several, of_kernel)
    summary = several.api.checks[1]["output"]["summary"]
    assert f"| `alpha` | passed | it is passed | [{of_alpha}](https://farm.example.org/runs/{of_alpha}) |" in summary
    assert "beta" not in summary


@pytest.mark.parametrize(
    ("says", "verdict", "reason"),
    [
        ("alpha=errored\nbeta=failed", "failed", "1 of 3 targets failed: beta: it is failed"),
        ("alpha=busy", "errored", "1 of 3 targets errored: alpha: 3 devices asked for, the cluster has 2; take fewer"),
    ],
)
def test_the_gravest_verdict_is_the_jobs_and_every_target_is_run(
    several: Gate, says: str, verdict: str, reason: str
) -> None:
    files = {SAYS: says, ALPHA: f"x = 1\n{MAIN}", BETA: f"x = 1\n{MAIN}"}
    several.queue(several.remote.pull(7, files))

    several.work(several.done)

    assert several.jobs("verdict", "reason") == [(verdict, reason)]
    assert [state for (state,) in targets(several, "state")] == ["done"] * 3
    assert several.checks() == [("completed", "failure" if verdict == "failed" else "action_required")]
    report = several.api.checks[1]["output"]["summary"]
    assert report.index(f"# `{reason.split(': ')[1]}`") < report.index("# `qkv_proj_rope`"), "the gravest comes first"


@pytest.mark.parametrize(
    ("files", "run"),
    [
        ({"README.md": "x", "docs/index.rst": "x"}, []),
        ({"csrc/add.cpp": "x"}, ["alpha", "beta"]),
        ({"README.md": "x", BETA: f"x = 1\n{MAIN}"}, ["beta"]),
    ],
)
def test_documents_pass_without_a_run_and_declared_paths_touch_their_target(
    several: Gate, files: dict[str, str], run: list[str]
) -> None:
    several.queue(several.remote.pull(7, files))

    several.work(several.done)

    assert [name for (name,) in targets(several, "name")] == run
    assert several.jobs("state", "verdict") == [("done", "passed")]
    if not run:
        assert several.runs() == [] and "documents alone" in several.api.checks[1]["output"]["title"]


def test_what_no_target_exercises_is_held_and_then_judged_by_all_of_them(several: Gate) -> None:
    head = several.remote.pull(7, {"tools/lint.py": "x = 1\n"})
    several.queue(head)
    several.work(several.done)
    assert several.jobs("state", "reason") == [("held", "changes files that no run exercises: tools/lint.py")]
    assert several.runs() == [] and not several.api.mergeable(head)

    approve(several, head)
    several.work(several.done)

    assert [name for (name,) in targets(several, "name")] == ["qkv_proj_rope", "alpha", "beta"]
    assert "--changed-only" not in words(several, targets(several, "run_id")[1][0])
    assert several.api.mergeable(head)


def test_a_new_target_is_judged_once_it_is_approved_and_the_check_says_so(several: Gate) -> None:
    head = several.remote.pull(7, {"alpha/new.py": MAIN})
    several.queue(head)
    several.work(several.done)
    assert several.jobs("state", "reason") == [("held", "adds targets that only their own rules judge: alpha/new.py")]
    assert several.runs() == [] and "alpha/new.py" in several.api.checks[1]["output"]["summary"]

    approve(several, head)
    several.work(several.done)

    assert several.checks() == [("completed", "success")]
    assert "each was judged by its own rules. Approved by `will`." in several.api.checks[1]["output"]["summary"]


def test_a_pass_that_its_runs_hold_is_not_run_again_once_it_is_approved(several: Gate) -> None:
    head = several.remote.pull(7, {SAYS: "alpha=rules", ALPHA: f"x = 1\n{MAIN}"})
    several.queue(head)
    several.work(several.done)
    runs = targets(several, "run_id")
    assert several.jobs("state", "reason") == [("held", "changes the rules: kernel/rules.py")]

    approve(several, head)
    several.work(several.done)

    assert (targets(several, "run_id"), len(several.runs())) == (runs, 3)
    assert several.jobs("verdict", "run_id") == [("passed", runs[-1][0])]


def began(gate: Gate) -> tuple[JobClaim, TargetClaims, Claims]:
    """A job of two targets whose service is dead: its first run has ended, and nobody has noted that."""
    gate.queue(gate.remote.pull(7, {PROGRAM: "x", ALPHA: f"x = 1\n{MAIN}"}))
    dead = Claims(gate.engine, gate.config, gone())
    theirs = TargetClaims(gate.engine, gate.config, dead)
    [claim] = dead.take(1)
    kernel, alpha, _ = gate.repository.judged_by()
    theirs.plan(claim, [PlannedTarget(kernel), PlannedTarget(alpha, changed_only=True)])
    begun = theirs.begin(claim)
    assert begun is not None and dead.started(begun[0], gone())
    told: dict[str, Any] = {"run_id": begun[0].run_id, "directory": os.environ["FARM_HOME"]}
    Store(gate.engine).begin(samples.run(**told, verdict=None))
    Store(gate.engine).finish(samples.run(**told, verdict=Verdict.PASSED, reason="was judged"))
    return begun[0], theirs, dead


def when_the_run_has_ended(claim: JobClaim, theirs: TargetClaims, dead: Claims) -> None:
    """Nothing of it is noted."""


def between_two_targets(claim: JobClaim, theirs: TargetClaims, dead: Claims) -> None:
    theirs.end(claim, Verdict.PASSED, "was judged")


def before_the_second_has_a_process(claim: JobClaim, theirs: TargetClaims, dead: Claims) -> None:
    assert theirs.begin(theirs.end(claim, Verdict.PASSED, "was judged")) is not None


def while_the_second_runs(claim: JobClaim, theirs: TargetClaims, dead: Claims) -> None:
    begun = theirs.begin(theirs.end(claim, Verdict.PASSED, "was judged"))
    assert begun is not None and dead.started(begun[0], gone())


@pytest.mark.parametrize(
    "moment",
    [when_the_run_has_ended, between_two_targets, before_the_second_has_a_process, while_the_second_runs],
)
def test_a_service_that_is_killed_leaves_no_finished_target_to_be_repeated(
    several: Gate, monkeypatch: pytest.MonkeyPatch, moment: Callable[[JobClaim, TargetClaims, Claims], None]
) -> None:
    monkeypatch.setattr("ci.runner.runner.delay_s", lambda attempts, after, chance: 0.0)
    claim, theirs, dead = began(several)
    moment(claim, theirs, dead)

    several.work(several.done)

    assert several.jobs("state", "verdict", "reason") == [("done", "passed", "2 targets passed")]
    (first, why), (second, _) = targets(several, "run_id", "reason")
    assert (first, why) == (claim.run_id, "was judged")
    assert sorted(run_id for run_id, _ in several.runs()) == sorted([first, second])


def test_terms_that_were_changed_meanwhile_have_their_target_run_again(several: Gate) -> None:
    claim, theirs, dead = began(several)
    between_two_targets(claim, theirs, dead)
    with transaction(several.engine, "written", write=True) as connection:
        changed = JOB_TARGET.update().where(JOB_TARGET.c.position == 0)
        terms = several.repository.judged_by()[0].model_copy(update={"devices": 2})
        connection.execute(changed.values(terms=terms.model_dump_json()))

    several.work(several.done)

    assert targets(several, "run_id")[0][0] != claim.run_id and several.jobs("verdict") == ["passed"]


def test_a_cancelled_job_runs_no_further_target(several: Gate) -> None:
    job = several.queue(several.remote.pull(7, {SAYS: "qkv_proj_rope=hang", ALPHA: f"x = 1\n{MAIN}"}))
    cancelled: list[bool] = []

    def cancel_once_it_runs() -> bool:
        if not cancelled and several.runs():
            cancelled.append(True)
            with transaction(several.engine, "written", write=True) as connection:
                queue = Queue(connection, several.config, several.repository)
                queue.cancel_job(job, "by somebody", Actor("somebody", "a test"))
        return several.done()

    several.work(cancel_once_it_runs)

    assert several.jobs("state", "verdict") == [("cancelled", "")] and len(several.runs()) == 1
    assert [state for (state,) in targets(several, "state")] == ["running", "waiting", "waiting"]


@pytest.mark.parametrize(
    ("options", "names", "reason"),
    [
        (JobOptions(targets=["beta"]), ["beta"], "it is passed"),
        (JobOptions(cases=["tiny"]), ["qkv_proj_rope"], "it is passed"),
        (JobOptions(targets=["gamma"]), [], "there is no target gamma; farm.toml has: qkv_proj_rope, alpha, beta"),
        (JobOptions(targets=["beta"], cases=["tiny"]), [], "there is no case tiny; a suite has files, and no cases"),
        (JobOptions(cases=["nope"]), [], "qkv_proj_rope has no case nope; it has: "),
    ],
)
def test_a_command_names_targets_that_are_run_as_a_whole(
    several: Gate, options: JobOptions, names: list[str], reason: str
) -> None:
    several.queue(several.remote.pull(7, {ALPHA: f"x = 1\n{MAIN}"}))
    several.set_jobs(options=options.model_dump_json())

    several.work(several.done)

    assert [name for (name,) in targets(several, "name")] == names
    assert several.jobs("verdict") == ["passed" if names else "failed"]
    assert several.jobs("reason")[0].startswith(reason)
    assert [check["name"] for check in several.api.checks.values()] == ["npu-kernel-farm (narrowed)"]


def test_a_commit_without_a_base_is_run_by_all_targets(several: Gate) -> None:
    head = several.remote.pull(7, {ALPHA: f"x = 1\n{MAIN}"})
    several.queue(head, kind=JobKind.BASELINE, subject="refs/heads/main", number=None)

    several.work(several.done)

    assert targets(several, "name", "changed_only") == [
        ("qkv_proj_rope", False),
        ("alpha", False),
        ("beta", False),
    ]


def test_every_target_has_a_check_of_its_own_where_that_is_asked_for(several: Gate, gate: Gate, tmp_path: Path) -> None:
    found = configured(gate, tmp_path, TARGETS.format(checks="true"))
    head = found.remote.pull(7, {SAYS: "alpha=failed", ALPHA: f"x = 1\n{MAIN}"})
    found.queue(head)

    found.work(found.done)

    checks = {each["name"]: each for each in found.api.checks.values()}
    assert {name: each["conclusion"] for name, each in checks.items()} == {
        "npu-kernel-farm": "failure",
        "npu-kernel-farm / qkv_proj_rope": "success",
        "npu-kernel-farm / alpha": "failure",
        "npu-kernel-farm / beta": "success",
    }
    run_id = targets(found, "run_id")[1][0]
    assert checks["npu-kernel-farm / alpha"]["details_url"] == f"https://farm.example.org/runs/{run_id}"
    assert not found.api.mergeable(head)


def test_every_kernel_that_a_commit_has_is_a_target_and_a_deleted_one_waits(gate: Gate, tmp_path: Path) -> None:
    found = configured(gate, tmp_path, 'targets = [{ kernel = "*" }, { suite = "./alpha.toml", files = ["alpha/*"] }]')
    entries = {ALPHA: ("100644", found.remote.blob(f"x = 1\n{MAIN}"))}
    head = found.remote.plant(entries, found.remote.main, ref="refs/pull/7/head")
    found.queue(head)

    found.work(found.done)

    assert found.jobs("state") == ["held"] and SAYS in found.jobs("reason")[0]
