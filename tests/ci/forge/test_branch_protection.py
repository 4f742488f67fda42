"""The stand-ins of the forges let a commit be merged as the forges document it."""

from __future__ import annotations

import pytest

from ci.forge.protocol import Conclusion
from tests.fakes.branch_protection import gitea_lets_merge, github_lets_merge

NAME = "npu-kernel-farm"
ALL = (
    "success",
    "neutral",
    "skipped",
    "action_required",
    "cancelled",
    "failure",
    "stale",
    "startup_failure",
    "timed_out",
)


def run(conclusion: str | None, name: str = NAME) -> dict[str, object]:
    return {"name": name, "status": "completed" if conclusion else "in_progress", "conclusion": conclusion}


@pytest.mark.parametrize("conclusion", ALL)
def test_github_counts_three_conclusions_as_met(conclusion: str) -> None:
    assert github_lets_merge([run(conclusion)], NAME) is (conclusion in ("success", "neutral", "skipped"))


def test_github_counts_the_newest_of_the_name_and_expects_one() -> None:
    assert not github_lets_merge([], NAME)
    assert not github_lets_merge([run("success", f"{NAME} (narrowed)")], NAME)
    assert not github_lets_merge([run("success"), run(None)], NAME)
    assert github_lets_merge([run("failure"), run("success")], NAME)


@pytest.mark.parametrize("state", ["success", "warning", "pending", "failure", "error"])
def test_gitea_counts_success_and_in_some_versions_a_warning(state: str) -> None:
    assert gitea_lets_merge([{"context": NAME, "status": state}], NAME) is (state in ("success", "warning"))


def test_gitea_counts_the_newest_status_and_of_a_pattern_the_worst() -> None:
    passed, failed = {"context": NAME, "status": "success"}, {"context": NAME, "status": "error"}
    other = {"context": f"{NAME} (narrowed)", "status": "failure"}
    assert not gitea_lets_merge([], NAME)
    assert gitea_lets_merge([failed, passed], NAME) and not gitea_lets_merge([passed, failed], NAME)
    assert gitea_lets_merge([passed, other], NAME) and not gitea_lets_merge([passed, other], f"{NAME}*")
    assert not gitea_lets_merge([other], NAME)


def test_only_a_pass_of_the_farm_meets_a_required_check() -> None:
    met = {each for each in Conclusion if github_lets_merge([run(each.value)], NAME)}

    assert met == {Conclusion.SUCCESS}
