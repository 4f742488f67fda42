"""What a scheduled sweep is executed as, and what is read from what it leaves."""

from __future__ import annotations

import itertools
from pathlib import Path

from click.testing import CliRunner

from ci.config.repository import RepositorySection
from ci.queue.options import JobOptions, SweepTerms
from ci.runner.sweep_command import command, record_in, report
from farm.cli.sweep import command as farm_sweep
from farm.report.sweep.write import write_sweep
from tests.farm.sweep_samples import one_bad

KERNELS = RepositorySection.model_construct(
    kernel="qkv_proj_rope", cases=["tiny"], platform="a2a3sim", devices=3, repeats=3
)
TERMS = SweepTerms(seeds=2, repeats=1, budget_minutes=30)


def test_it_asks_for_what_the_schedule_says(tmp_path: Path) -> None:
    words = command(["farm"], KERNELS, JobOptions(devices=5, cases=["flash-s1"], sweep=TERMS), "head:6379", tmp_path)

    assert words[:2] == ["farm", "sweep"] and "qkv_proj_rope" in words
    told = dict(itertools.pairwise(words))
    asked = {"--seeds": "2", "--repeats": "1", "--budget-minutes": "30", "--devices": "5", "--case": "flash-s1"}
    assert asked.items() <= told.items()
    assert (told["--address"], told["--out"]) == ("head:6379", str(tmp_path))


def test_without_a_number_it_is_of_all_devices_and_the_repositorys_cases(tmp_path: Path) -> None:
    words = command(["farm"], KERNELS, JobOptions(sweep=TERMS), "", tmp_path)

    told = dict(itertools.pairwise(words))
    assert (told["--devices"], told["--case"]) == ("all", "tiny")
    assert "--address" not in words


def test_one_that_was_begun_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "20261125-023000-abcdef").mkdir()
    (tmp_path / "20261125-023000-abcdef" / "plan.json").write_text("{}")

    words = command(["farm"], KERNELS, JobOptions(sweep=TERMS), "", tmp_path)

    assert words[-2:] == ["--resume", "latest"]
    assert "--seeds" not in words and "qkv_proj_rope" not in words


def test_farm_sweep_understands_both_forms(tmp_path: Path) -> None:
    runner = CliRunner()
    for options in (JobOptions(sweep=TERMS), JobOptions(devices=2)):
        words = command([], KERNELS, options, "nobody-is-here:1", tmp_path)
        answer = runner.invoke(farm_sweep, words[1:])
        assert "No such option" not in answer.output and answer.exit_code != 2, answer.output


def test_its_record_is_found_and_told_without_a_picture(tmp_path: Path) -> None:
    assert record_in(tmp_path) is None
    record = one_bad()
    (tmp_path / record.sweep_id).mkdir()
    write_sweep(record, tmp_path / record.sweep_id)

    found = record_in(tmp_path)

    assert found == record
    assert "![" not in report(record)
    assert record.findings[0].devices[0] in report(record)


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "sweep.json").write_text("{")

    assert record_in(tmp_path) is None
