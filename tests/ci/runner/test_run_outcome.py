"""What a running job does now: one line, which the check, the pages and the log agree on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.runner.run_outcome import HEADING, RunProgress

WAITS = "leasing 3 devices: waits, 2nd in the queue (0 s)"
OLD = f"{HEADING}r1 of 1234\nleasing 3 devices\nrun r1: 9 trials on a, b, c\n"


@pytest.mark.parametrize(
    ("printed", "stage"),
    [
        ("", "starts"),
        (f"{HEADING}r2 of 1234\n", "starts"),
        (f"{OLD}{HEADING}r2 of 1234\n", "starts"),  # what an earlier run has printed is no stage of this one
        (f"{OLD}{HEADING}r2 of 1234\nstarting Ray on this machine\n", "starting Ray on this machine"),
        (f"{HEADING}r2 of 1234\n{WAITS}\n\n", WAITS),
        (f"{HEADING}r2 of 1234\n\x1b[31mred\n", "\\x1b[31mred"),
    ],
)
def test_until_a_run_has_its_devices_its_log_says_what_it_does(tmp_path: Path, printed: str, stage: str) -> None:
    log = tmp_path / "job.log"
    log.write_text(printed)

    assert RunProgress(began=False, measured=0).stage(log) == stage


def test_a_stage_is_short_whatever_is_printed(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text(f"{HEADING}r2 of 1234\n{'x' * 5000}\n")

    assert len(RunProgress(began=False, measured=0).stage(log)) <= 200


@pytest.mark.parametrize(
    ("measured", "stage"), [(0, "builds the programs"), (1, "1 trial measured"), (7, "7 trials measured")]
)
def test_once_it_has_them_its_trials_do(tmp_path: Path, measured: int, stage: str) -> None:
    assert RunProgress(began=True, measured=measured).stage(tmp_path / "none.log") == stage
