"""The pytest plugin and `farm test`: what they refuse, what is an error, and leases that move."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import junitparser
import pytest
from click.testing import CliRunner

from farm.cli.app import main
from farm.errors import UsageError
from farm.testing import suite
from farm.testing.assertions import assert_deterministic, assert_matches_golden
from farm.testing.device_pool import DeviceFaultError, TestDevicePool, named, request_of
from jobs.records import Failure, Fault, TrialRecord, TrialStatus
from kernel.clock import Clock
from kernel.registry import find_kernel
from tests.fakes import platforms
from tests.fakes.small_kernel import SmallKernel
from tests.farm.samples import output
from tests.processes import left_behind
from tests.waiting import until

pytest_plugins = ["pytester"]

FARM = "from farm.cli.app import main; main()"
PLUGINS = ("-p", "xdist.plugin", "-p", "farm.testing.plugin")  # where no other is loaded

# In place of a lease, so that these tests need none.
NO_LEASE = """
import pytest

@pytest.fixture
def farm_devices(request):
    request.node.user_properties.append(("farm.device", "node/0"))
    return []
"""


def trial(device: str = "node/0", digest: str = "", **changes: object) -> TrialRecord:
    values: dict[str, object] = {
        "case": "tiny",
        "device": device,
        "repeat": 0,
        "attempt": 0,
        "status": TrialStatus.OK,
        "clock": Clock.SIMULATED,
        "outputs": {"y": output("y", digest)},
    }
    return TrialRecord(**{**values, **changes})  # type: ignore[arg-type]


def test_a_trial_within_its_tolerances_matches_its_golden() -> None:
    assert_matches_golden(trial())


def test_a_trial_outside_says_which_output_and_where() -> None:
    wrong = trial(outputs={"y": output("y", passed=False, outlier_share=0.25), "z": output("z")})

    with pytest.raises(
        AssertionError, match=r"'y': .* elements \(25\.0%\) are outliers, .*worst at \[3, 1, 60\]: 1\.5 where"
    ) as caught:
        assert_matches_golden(wrong)
    assert "'z'" not in str(caught.value)


def test_a_trial_without_a_measurement_matches_nothing() -> None:
    failure = Failure(fault=Fault.KERNEL, kind="compile", message="tile does not fit")

    with pytest.raises(AssertionError, match="was not measured: tile does not fit"):
        assert_matches_golden(trial(status=TrialStatus.FAILED, failure=failure, outputs={}))
    with pytest.raises(AssertionError, match="has no outputs"):
        assert_matches_golden(trial(outputs={}))


def test_equal_bits_are_deterministic_and_others_are_named() -> None:
    assert_deterministic([trial("node/0"), trial("node/1")])
    with pytest.raises(AssertionError, match="output 'y' has other bits on node/1"):
        assert_deterministic([trial("node/0"), trial("node/1", "flipped")])


def test_what_proves_nothing_about_determinism_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        assert_deterministic([trial()])
    with pytest.raises(ValueError, match="several cases or seeds"):
        assert_deterministic([trial(), trial(seed=1)])


def test_the_plugin_loads_without_ray_and_torch() -> None:
    code = "import sys, farm.testing.plugin; print([name for name in ('ray', 'torch', 'pypto') if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_without_ray_a_test_that_wants_a_device_is_skipped_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_one(farm_device): raise AssertionError('ran')\ndef test_two(): pass")
    monkeypatch.setattr("farm.testing.plugin.importlib.util.find_spec", lambda name: None)

    result = pytester.runpytest_inprocess("-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*ray is not installed*install the farm with what it needs*"])


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("devices=0", "*farm(devices=0)*1 or more*"),
        ("devices='two'", "*farm(devices='two')*"),
        ("cases='tiny'", "*takes devices= and case=, not cases*"),
        ("3", "*takes devices= and case=, not (3,)*"),
    ],
)
def test_a_mark_that_cannot_be_read_is_an_error(pytester: pytest.Pytester, mark: str, words: str) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture(scope='session')\ndef _farm_bench(): return None\n")
    pytester.makepyfile(f"import pytest\n@pytest.mark.farm({mark})\ndef test_one(farm_device): pass")

    result = pytester.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


def test_a_device_s_fault_is_an_error_and_a_wrong_kernel_a_failure(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(NO_LEASE)
    pytester.makepyfile(
        """
        from farm.errors import InfrastructureError

        def test_faulty(farm_devices): raise InfrastructureError("no device could run the trial")
        def test_wrong(farm_devices): assert 1 == 2
        def test_not_ours(): raise InfrastructureError("no device was asked for")
        """
    )

    result = pytester.runpytest_inprocess("--junitxml=out.xml")

    result.assert_outcomes(errors=1, failed=2)
    cases = {case.name: case for each in junitparser.JUnitXml.fromfile(str(pytester.path / "out.xml")) for case in each}
    assert cases["test_faulty"].is_error and not cases["test_faulty"].is_failure
    assert cases["test_wrong"].is_failure and not cases["test_wrong"].is_error


def test_a_kernel_object_is_found_again_by_its_file() -> None:
    kernel = find_kernel("qkv_proj_rope")

    assert find_kernel(named(kernel)).name == kernel.name
    assert request_of(kernel, "a2a3sim", "tiny", None, 1, {}).case == "tiny"
    with pytest.raises(UsageError, match="is no attribute of the module of its class"):
        named(SmallKernel())


def write_suite(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "conftest.py").write_text(NO_LEASE)
    (directory / "test_it.py").write_text(text)
    return directory


@pytest.fixture
def few_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other packages take seconds to load in each process of a suite."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def farm_test(directory: Path, junit: Path, arguments: Sequence[str] = (), devices: int = 1) -> tuple[int, str]:
    options = ["--devices", str(devices), "--junit", str(junit), "--json"]
    done = CliRunner().invoke(main, ["test", str(directory), *options, "--", *PLUGINS, *arguments])
    return done.exit_code, done.output


@pytest.mark.usefixtures("few_plugins")
def test_farm_test_gathers_one_file_whose_properties_name_the_devices(tmp_path: Path) -> None:
    directory = write_suite(tmp_path / "suite", "def test_a(farm_devices): pass\ndef test_b(): pass\n")
    junit = tmp_path / "out" / "tests.xml"

    code, said = farm_test(directory, junit, devices=2)

    assert code == 0
    told = json.loads(said[said.index("{") :])
    assert (told["tests"], told["failures"], told["devices"]) == (2, 0, {"node/0": 1})
    suites = list(junitparser.JUnitXml.fromfile(str(junit)))
    assert len(suites) == 1
    assert {(found.name, found.value) for found in suites[0].properties()} == {
        ("farm.devices.wanted", "2"),
        ("farm.devices", "node/0"),
    }
    assert list(junit.parent.iterdir()) == [junit]


@pytest.mark.usefixtures("few_plugins")
@pytest.mark.parametrize(
    ("text", "arguments", "code"),
    [
        ("def test_a(): assert 0\n", [], 1),
        ("from farm.errors import InfrastructureError as E\ndef test_a(farm_devices): raise E('x')\n", [], 3),
        ("def test_a(): pass\n", ["-k", "nothing_like_it"], 2),
        ("def test_a(): pass\n", ["--no-such-option"], 2),
        ("import absent_module\n", [], 3),
    ],
)
def test_farm_test_ends_with_the_farm_s_exit_codes(tmp_path: Path, text: str, arguments: list[str], code: int) -> None:
    assert farm_test(write_suite(tmp_path / "suite", text), tmp_path / "tests.xml", arguments)[0] == code


def test_an_interrupted_suite_is_errored_and_leaves_no_process(tmp_path: Path) -> None:
    slow = "import pathlib, time\ndef test_a():\n    pathlib.Path('begun').touch()\n    time.sleep(600)\n"
    directory = write_suite(tmp_path / "suite", slow)
    home = str(tmp_path / "home")
    command = [sys.executable, "-c", FARM, "test", str(directory), "--devices", "2"]
    with subprocess.Popen(
        [*command, "--junit", str(tmp_path / "tests.xml"), "--", *PLUGINS],
        cwd=tmp_path,
        env={**os.environ, "FARM_HOME": home, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: (tmp_path / "begun").exists() or process.poll() is not None, 120, "the start of the suite")
        assert process.stderr is not None
        assert process.poll() is None, process.stderr.read()
        process.terminate()
        _, said = process.communicate(timeout=400)

    assert process.returncode == 3
    assert said.strip().splitlines()[-1] == "farm: interrupted"
    assert left_behind(home) == []
    assert not (tmp_path / "tests.xml").exists()


def test_farm_test_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.testing.suite.importlib.util.find_spec", lambda name: None if name == "xdist" else name)

    with pytest.raises(UsageError, match="'xdist' is not installed; install the farm with its extra 'test'"):
        suite.run(["."], 2, [], tmp_path / "tests.xml", quiet=True)


@pytest.mark.ray
@pytest.mark.usefixtures("joined_ray", "at_home")
class TestBench:
    def test_it_holds_as_many_devices_as_asked_for(self, tmp_path: Path) -> None:
        asked = request_of("qkv_proj_rope", "a2a3sim", "tiny", None, 0, {})
        with TestDevicePool("fake", None, 5.0, platforms.Honest) as bench:
            one = bench.hold(1)
            two = bench.hold(2)
            records = [bench.trial(asked, device.slot, 0, tmp_path) for device in two]

        assert (len(one), len({device.id for device in two})) == (1, 2)
        assert [record.device for record in records] == [device.id for device in two]
        assert_deterministic(records)
        assert_matches_golden(records[0])

    def test_a_device_s_fault_moves_the_trial_to_another(self, tmp_path: Path) -> None:
        asked = request_of("qkv_proj_rope", "a2a3sim", "tiny", None, 0, {})
        with TestDevicePool("fake", None, 5.0, platforms.FaultsOnOneDevice) as bench:
            faulty = next(device for device in bench.hold(3) if device.id.endswith("/1"))
            record = bench.trial(asked, faulty.slot, 0, tmp_path)

        assert (record.status, record.attempt) == (TrialStatus.OK, 1)
        assert record.device != faulty.id

    def test_a_trial_no_device_can_run_is_the_farm_s_error(self, tmp_path: Path) -> None:
        asked = request_of("qkv_proj_rope", "a2a3sim", "tiny", None, 0, {})
        with TestDevicePool("fake", None, 5.0, platforms.DiesEverywhere) as bench:
            bench.hold(1)
            with pytest.raises(DeviceFaultError, match="no device could run the trial"):
                bench.trial(asked, 0, 0, tmp_path)
