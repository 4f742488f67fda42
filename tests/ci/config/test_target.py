"""What a [[repository]] is judged by: one kernel, one suite, or several targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.config.repository import RULES, RepositorySection
from ci.config.settings import load
from ci.errors import ConfigError
from ci.queue.check_names import check_name, is_narrowed
from ci.queue.options import JobOptions
from ci.store.states import JobKind
from kernel.registry import kernel_names
from tests.ci.configuration import ENVIRONMENT, TEXT, written

HEAD = TEXT.format(api_url="https://x.example", at_once=0).partition("[[repository]]")[0]
PROFILE = (Path(__file__).parents[3] / "kernel/harness/profiles/pypto-lib.toml").read_text()


def repository(directory: Path, keys: str, more: str = "") -> RepositorySection:
    """The one of a `farm.toml` whose table holds `keys`; `more` comes after it."""
    text = f'{HEAD}[[repository]]\nname = "octo-org/operators"\n{keys}\n{more}'
    return written(directory, text).repository[0]


def problem(directory: Path, keys: str, more: str = "") -> str:
    """The one problem of such a file."""
    with pytest.raises(ConfigError) as caught:
        repository(directory, keys, more)
    [found] = caught.value.problems
    return str(found)


def test_a_kernel_of_its_own_is_one_target(tmp_path: Path) -> None:
    [target] = repository(tmp_path, 'kernel = "qkv_proj_rope"\ncases = ["tiny"]\ndevices = 5').judged_by()

    assert (target.name, target.kernel, target.cases, target.devices) == ("qkv_proj_rope", "qkv_proj_rope", ["tiny"], 5)
    assert not target.optional


def test_a_suite_is_named_by_its_profile_and_has_rules_of_a_suite(tmp_path: Path) -> None:
    found = repository(tmp_path, 'suite = "pypto-lib"\nfiles = ["models/**", "a/*.py"]')
    [target] = found.judged_by()

    assert (target.name, target.suite, target.files) == ("pypto-lib", "pypto-lib", ["models/**/*", "a/*.py"])
    assert "**/golden/**" in found.rules_in_force() and set(RULES) < set(found.rules_in_force())
    assert repository(tmp_path, 'suite = "pypto-lib"\nrules = ["x"]').rules_in_force() == ["x"]
    assert repository(tmp_path, 'kernel = "qkv_proj_rope"').rules_in_force() == list(RULES)


def test_a_profile_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(PROFILE.replace('name = "pypto-lib"', 'name = "ours"', 1))

    [target] = repository(tmp_path, 'suite = "./ours.toml"').judged_by()

    assert (target.name, target.suite) == ("ours", str(tmp_path / "ours.toml"))


def test_a_workflow_is_one_of_the_suites_profile(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(f'task = [{{ name = "attention", files = ["models/attn*"] }}]\n{PROFILE}')
    entry = '{ suite = "./ours.toml", workflow = "attention", name = "attn" }'

    first, second = repository(tmp_path, f'targets = [{entry}, {{ suite = "./ours.toml" }}]').judged_by()

    assert (first.name, first.workflow, second.workflow) == ("attn", "attention", "")
    assert "task or workflow" in problem(tmp_path, 'suite = "./ours.toml"\nworkflow = "nope"')


def test_several_targets_take_from_the_repository_what_they_do_not_say(tmp_path: Path) -> None:
    entries = '{ kernel = "*" }, { kernel = "qkv_proj_rope", name = "ours", cases = ["tiny"], repeats = 1 }'
    found = repository(tmp_path, f'targets = [{entries}, {{ suite = "pypto-lib", platform = "a5", devices = 8 }}]')
    ours, suite = found.judged_by()[-2:]
    others = found.judged_by()[:-2]

    assert (ours.name, ours.devices, ours.repeats, ours.platform) == ("ours", 3, 1, "a2a3sim")
    assert (suite.name, suite.devices, suite.repeats, suite.platform) == ("pypto-lib", 8, 3, "a5")
    assert [each.name for each in others] == [name for name in kernel_names() if name != "qkv_proj_rope"]
    assert all(each.optional for each in others)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "exactly one of kernel, suite and targets"),
        ('kernel = "qkv_proj_rope"\nsuite = "pypto-lib"', "exactly one of kernel, suite and targets"),
        ('suite = "nope"', "pypto-lib"),
        ('suite = "./none.toml"', "cannot be read"),
        ('kernel = "*"', "no such kernel"),
        ('suite = "pypto-lib"\ncases = ["tiny"]', "cases belong to one kernel"),
        ('kernel = "qkv_proj_rope"\nfiles = ["*.py"]', "files belong to a suite"),
        ('suite = "pypto-lib"\nfiles = ["../x"]', "'../x' is no glob below the repository"),
        ('suite = "pypto-lib"\nplatform = "nope"', "it has: a2a3, a2a3sim"),
        ('kernel = "qkv_proj_rope"\nplatform = "nope"', "no platform 'nope' for qkv_proj_rope; installed are: "),
        ('kernel = "qkv_proj_rope"\nwitnesses = 2', "witnesses belong to a suite"),
        ('kernel = "qkv_proj_rope"\nworkflow = "gate"', "a workflow belongs to a suite"),
        ('suite = "pypto-lib"\nwitnesses = 4', "pypto-lib has 4 witnesses on 3 devices"),
        ("targets = [{}]", "exactly one of kernel and suite"),
        ('targets = [{ kernel = "nope" }]', "no such kernel"),
        ('targets = [{ kernel = "*", name = "all" }]', "takes no name"),
        ('targets = [{ kernel = "*", cases = ["tiny"] }]', "cases belong to one kernel"),
        ('targets = [{ suite = "pypto-lib" }, { suite = "pypto-lib" }]', "two targets are named pypto-lib"),
        ('targets = [{ suite = "pypto-lib", name = "a b" }]', "should match pattern"),
        ('targets = [{ suite = "pypto-lib", platfrom = "a5" }]', "unknown key"),
        ('paths = ["x"]\ntargets = [{ suite = "pypto-lib" }]', "paths belong to one target"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, keys: str, said: str) -> None:
    assert said in problem(tmp_path, keys)


SCHEDULE = '[[schedule]]\nname = "n"\ncron = "30 2 * * *"\nrepository = "octo-org/operators"\n'
TWO = 'targets = [{ kernel = "qkv_proj_rope" }, { kernel = "qkv_proj_rope", name = "b" }, { suite = "pypto-lib" }]'


@pytest.mark.parametrize(
    ("keys", "schedule", "said"),
    [
        ('suite = "pypto-lib"', 'kind = "sweep"', "not one kernel; set target to one of: none"),
        (TWO, 'kind = "sweep"', "not one kernel; set target to one of: qkv_proj_rope, b"),
        (TWO, 'kind = "sweep"\ntarget = "pypto-lib"', "no kernel pypto-lib"),
        (TWO, 'kind = "baseline"\ntarget = "c"', "has: qkv_proj_rope, b, pypto-lib"),
    ],
)
def test_a_schedule_names_a_target_that_there_is(tmp_path: Path, keys: str, schedule: str, said: str) -> None:
    assert said in problem(tmp_path, keys, SCHEDULE + schedule)
    text = f'{HEAD}[[repository]]\nname = "octo-org/operators"\n{TWO}\n{SCHEDULE}kind = "sweep"\ntarget = "b"'
    (tmp_path / "farm.toml").write_text(text)
    assert load(tmp_path / "farm.toml", ENVIRONMENT).schedule[0].target == "b"


@pytest.mark.parametrize(
    ("options", "narrowed"),
    [
        (JobOptions(), False),
        (JobOptions(targets=["b", "qkv_proj_rope", "pypto-lib"]), False),
        (JobOptions(targets=["b"]), True),
        (JobOptions(cases=["tiny"]), True),
        (JobOptions(devices=2), True),
        (JobOptions(devices=3), False),
    ],
)
def test_a_run_of_fewer_targets_has_a_name_of_its_own(tmp_path: Path, options: JobOptions, narrowed: bool) -> None:
    found = repository(tmp_path, TWO)

    assert is_narrowed(found, options) == narrowed
    name = check_name(found, JobKind.PULL_REQUEST, options)
    assert name == ("npu-kernel-farm (narrowed)" if narrowed else "npu-kernel-farm")
