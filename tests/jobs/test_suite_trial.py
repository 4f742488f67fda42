"""Every file of the fixture repository as a trial: the failure classes of a harness, each with its one right record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.clock import Clock
from kernel.harness.kernel import HarnessKernel
from kernel.harness.profile import Profile
from kernel.platforms.command import Command
from kernel.platforms.swimlane import read_trace
from tests.fakes.harness import ROOT, keeping, shipped
from tests.processes import running_for_this_test

GENEROUS_S = 120.0  # for what ends by itself


def trial(
    name: str, place: Path, profile: Profile | None = None, platform: str = "a2a3sim", call: Mapping[str, str] = {}
) -> TrialRecord:
    profile = profile or shipped(seconds=GENEROUS_S)
    file = f"models/{name}.py"
    return run_trial(
        TrialRequest(kernel=profile.name, case=file, platform=platform, tuning=dict(call), input_set="own"),
        device=5,
        device_id="node/5",
        repeat=0,
        attempt=0,
        platform=Command(profile, platform, ROOT),
        directory=place / "trial",
        cache_dir=place / "cache",
        kernel=HarnessKernel(profile, ROOT, (file,)),
    )


@pytest.mark.parametrize(
    ("name", "fault", "kind", "told"),
    [
        ("tile_too_big", Fault.KERNEL, "compile", "Vec buffer usage (263680 bytes) exceeds"),
        ("guard", Fault.KERNEL, "tuning", "AssertionError: rows 100 is no multiple of tile 16"),
        ("device_fault", Fault.KERNEL, "scheduler-102", "(then 507018)"),
        ("stalls", Fault.DEVICE, "device-507014", "failed with code 507014"),
        (
            "no_pass_line",
            Fault.FARM,
            "nothing-measured",
            "exit code 0 without a pass line; the last line is: [RUN] run",
        ),
        ("validation_skipped", Fault.FARM, "nothing-measured", "the harness compared nothing: [RUN] PASS (33.80s, val"),
        ("compile_only", Fault.FARM, "nothing-measured", "a pass line, but no output was compared"),
        ("silent", Fault.FARM, "nothing-measured", "exit code 0 without a pass line; it printed nothing"),
        ("silent_failure", Fault.DEVICE, "killed", "exit code 1 and not a word"),
        ("no_space", Fault.NODE, "disk-full", "No space left on device"),
        ("broken_draft", Fault.FARM, "unexplained-NotImplementedError", "NotImplementedError"),
        ("kills_its_keeper", Fault.DEVICE, "worker-died", "its supervisor was killed"),
    ],
)
def test_a_file_that_measures_nothing_says_whose_fault_it_is(
    name: str, fault: Fault, kind: str, told: str, tmp_path: Path
) -> None:
    record = trial(name, tmp_path)

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (fault, kind)
    assert told in record.failure.message
    assert record.status is (TrialStatus.FAILED if fault is Fault.KERNEL else TrialStatus.ERRORED)
    assert (record.wall_us, record.claims) == (None, {})
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == ["platform.log"]


def test_a_file_that_passes_is_measured_on_the_hosts_clock_and_leaves_no_build(tmp_path: Path) -> None:
    record = trial("passes", tmp_path)

    assert (record.status, record.failure) == (TrialStatus.OK, None)
    assert {name: claim.passed for name, claim in record.claims.items()} == {"kv": True, "qr": True}
    assert [claim.sha256 for claim in record.claims.values()] == ["", ""], "what it keeps are goldens"
    assert (record.wall_us, record.simulator_us) == (None, 38.5)
    assert [(task.stage, task.core) for task in record.tasks] == [
        ("qproj", "AIC_0"),
        ("dequant", "AIV_20"),
        ("dequant", "AIV_20"),
    ]
    assert "[RUN] PASS (33.80s)" in (tmp_path / "trial" / record.log).read_text()
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == ["platform.log", "trace.json.gz"]
    assert read_trace(tmp_path / "trial" / "trace.json.gz")
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record


def test_wrong_numbers_are_a_measurement_for_the_gate(tmp_path: Path) -> None:
    record = trial("wrong_numbers", tmp_path)

    assert record.status is TrialStatus.OK
    assert {name: claim.passed for name, claim in record.claims.items()} == {"kv": True, "qr": False, "qr_scale": False}
    assert (record.claims["qr"].wrong, record.claims["qr"].total) == (12, 32768)


def test_a_hang_costs_its_limit_and_leaves_no_process(tmp_path: Path) -> None:
    record = trial("hangs", tmp_path, shipped(seconds=5.0, stop_seconds=0.2))

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.DEVICE, "hang")
    assert "no end within 5 s" in record.failure.message
    assert "its last line: [RUN] runtime ..." in record.failure.message
    assert running_for_this_test() == []


def test_a_process_left_behind_is_killed(tmp_path: Path) -> None:
    record = trial("leaves_orphans", tmp_path)

    assert record.status is TrialStatus.OK
    assert running_for_this_test() == []


def test_a_flood_of_output_is_read_to_its_end_and_kept_in_part(tmp_path: Path) -> None:
    record = trial("floods", tmp_path, shipped(seconds=GENEROUS_S, log_mb=2))

    assert record.status is TrialStatus.OK
    log = tmp_path / "trial" / record.log
    assert log.stat().st_size < 3 << 20
    assert log.read_text().endswith("[RUN] PASS (33.80s)\n")


def test_text_that_is_none_does_not_hide_the_pass(tmp_path: Path) -> None:
    record = trial("bad_text", tmp_path)

    assert (record.status, list(record.claims)) == (TrialStatus.OK, ["y"])


def test_filling_the_disk_is_ended_and_the_disk_is_free_again(tmp_path: Path) -> None:
    record = trial("fills_disk", tmp_path, shipped(seconds=GENEROUS_S, disk_mb=32))

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.KERNEL, "disk-quota")
    assert "of 32 MB" in record.failure.message
    assert not (tmp_path / "trial" / "work").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("loses_lanes", "a partial recording: [WARN] L2Perf reconcile: PERF count mismatch (collected=2"),
        ("breaks_lanes", "is no task record"),
        ("no_lanes", "the run left no recording"),
    ],
)
def test_a_recording_that_is_lost_or_partial_takes_the_time_and_not_the_verdict(
    name: str, told: str, tmp_path: Path
) -> None:
    record = trial(name, tmp_path)

    assert (record.status, record.failure) == (TrialStatus.OK, None)
    assert (record.wall_us, record.simulator_us) == (None, None)
    assert told in record.untimed


def test_a_printed_time_beside_a_partial_recording_is_no_sample(tmp_path: Path) -> None:
    record = trial("loses_lanes_and_times_itself", tmp_path, platform="a2a3")

    assert (record.status, record.wall_us) == (TrialStatus.OK, None)
    assert record.untimed.startswith("a partial recording: ")
    assert record.times_us["1"].median_us == 540.0, "what it said of itself stays in the record"


def test_each_chip_of_a_run_has_its_lanes_and_the_slowest_is_the_runs_time(tmp_path: Path) -> None:
    record = trial("two_chips", tmp_path)

    assert record.untimed == ""
    assert record.simulator_us == 40.0
    assert [(task.name, task.stage, task.core) for task in record.tasks] == [
        ("rank0/d0:7", "qproj", "AIV_0@rank0/d0"),
        ("rank1/d1:7", "gather", "AIV_0@rank1/d1"),
    ]


def test_a_file_gets_the_options_it_shows_with_a_value_it_accepts(tmp_path: Path) -> None:
    assert "level 1" in (tmp_path / "trial" / trial("takes_a_level", tmp_path).log).read_text()


def test_a_file_that_does_not_take_the_platform_is_the_callers_fault(tmp_path: Path) -> None:
    record = trial("device_only", tmp_path)

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.FARM, "bad-argument")
    assert "invalid choice: 'a2a3sim'" in record.failure.message


def test_two_modes_keep_their_times_apart_and_the_file_has_no_single_one(tmp_path: Path) -> None:
    record = trial("two_modes", tmp_path, platform="a2a3")

    assert {mode: time.median_us for mode, time in record.times_us.items()} == {"1": 540.0, "2": 9100.0}
    assert (record.wall_us, record.clock) == (None, Clock.MEASURED)


def test_the_primary_mode_is_the_files_time(tmp_path: Path) -> None:
    profile = shipped(seconds=GENEROUS_S)
    lines = profile.lines.model_copy(update={"primary_mode": "1"})

    record = trial("two_modes", tmp_path, profile.model_copy(update={"lines": lines}), "a2a3")

    assert record.wall_us == 540.0


def test_a_trial_gets_all_its_devices_by_their_physical_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", "5")

    record = trial("two_cards", tmp_path, call={"beside": "7"})

    assert record.status is TrialStatus.OK
    assert "devices 5 and 7" in (tmp_path / "trial" / record.log).read_text()


def test_frozen_data_give_the_same_bits_and_the_kept_outputs_are_hashed(tmp_path: Path) -> None:
    profile, data = keeping(seconds=GENEROUS_S), tmp_path / "data"

    first = trial("steady", tmp_path / "a", profile, call={"save": str(data)})
    second = trial("steady", tmp_path / "b", profile, call={"replay": str(data)})
    fresh = trial("steady", tmp_path / "c", profile)

    assert len(first.claims["y"].sha256) == 64
    assert first.claims["y"].sha256 == second.claims["y"].sha256 != fresh.claims["y"].sha256
    assert sorted(path.name for path in data.iterdir()) == ["in", "out"]


def test_a_command_that_is_not_installed_is_the_machines_fault(tmp_path: Path) -> None:
    profile = shipped(seconds=GENEROUS_S)
    profile = profile.model_copy(update={"command": ["no-such-python", *profile.command[1:]]})

    record = trial("passes", tmp_path, profile)

    assert record.failure is not None
    assert (record.failure.fault, record.failure.kind) == (Fault.NODE, "platform-unavailable")
    assert [missing.what for missing in Command(profile, "a2a3sim", ROOT).missing()] == ["no-such-python"]
