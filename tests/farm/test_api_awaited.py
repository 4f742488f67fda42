"""Awaited runs: a real child process that leases from a real Ray, on a platform that answers at once or never."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

import farm

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home", "fakes")]

LIMIT_S = 240


def awaited(platform: str, out: Path, address: str) -> asyncio.Task[farm.RunRecord]:
    run = farm.run_async(cases=["tiny"], platform=platform, devices=1, repeats=1, out=out, address=address, wait_s=60)
    return asyncio.ensure_future(run)


def test_an_awaited_run_gives_the_record_that_is_in_the_store(tmp_path: Path, standing_ray: str) -> None:
    async def validate() -> farm.RunRecord:
        return await awaited("fake", tmp_path / "runs", standing_ray)

    record = asyncio.run(validate())

    assert (record.verdict, record.platform, len(record.trials)) == (farm.Verdict.PASSED, "fake", 1)
    assert farm.load(record.run_id) == record == farm.load(tmp_path / "runs" / record.run_id)


def test_cancelling_interrupts_the_run_and_keeps_its_record(tmp_path: Path, standing_ray: str) -> None:
    async def begin_and_cancel() -> None:
        task = awaited("hangs", tmp_path / "runs", standing_ray)
        deadline = time.monotonic() + LIMIT_S
        while not farm.runs() and not task.done() and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(begin_and_cancel())

    (left,) = farm.runs()
    assert (left.verdict, left.reason) == (farm.Verdict.ERRORED, "interrupted")


def test_what_the_child_refuses_is_raised_with_its_words(tmp_path: Path, standing_ray: str) -> None:
    async def ask_for_too_many() -> farm.RunRecord:
        return await farm.run_async(
            cases=["tiny"], platform="fake", devices=5, out=tmp_path / "runs", address=standing_ray
        )

    with pytest.raises(farm.UsageError, match="5 devices asked for, the cluster has 4"):
        asyncio.run(ask_for_too_many())
