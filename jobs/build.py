"""Builds a kernel once per content address: the second request reuses the record of the first."""

from __future__ import annotations

import time
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from jobs import cache, disk_space
from jobs.faults import failures
from jobs.records import BuildRecord, TrialRequest
from jobs.sandbox.commit_kernel import held_to_specs
from jobs.visible_text import plain_values
from kernel.platforms.protocol import LOG_NAME, Platform
from kernel.registry import find_kernel, find_platform
from kernel.spec import Kernel, Tuning

RECORD_NAME = "record.json"


def build(
    request: TrialRequest, platform: Platform | None, cache_dir: Path, *, kernel: Kernel | None = None
) -> BuildRecord:
    """Build what `request` names, or return the record of an equal build in `cache_dir`.

    `platform` and `kernel` default to those the request names. A build that fails gives a record with a failure, whose
    log is a path relative to `cache_dir`; it is not reused, because the next attempt may find the machine in a better
    state. Raises `UnknownNameError` for a kernel or platform nobody registered.
    """
    platform = platform or find_platform(request.platform)
    kernel = kernel or find_kernel(request.kernel)
    unbuilt = BuildRecord(
        address="", fingerprint="", case=request.case, tuning={}, cached=False, build_s=0.0, clock=platform.clock
    )
    try:
        tuning = kernel.tuning(request.case, request.tuning)
        knobs = plain_values(tuning.as_dict())
        address = cache.build_address(request, kernel, tuning, platform)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a kernel is foreign code: what it raises becomes a record
        return unbuilt.model_copy(update={"failure": failures.failure(error, kernel)})
    addressed = unbuilt.model_copy(update={"address": address, "tuning": knobs})
    directory = cache.build_directory(cache_dir, address)
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / "lock"):
        return _stored(directory) or _build(addressed, kernel, tuning, platform, cache_dir, directory)


def _stored(directory: Path) -> BuildRecord | None:
    """The record an earlier build left; None where there is none or it cannot be read."""
    try:
        text = (directory / RECORD_NAME).read_text()
        return BuildRecord.model_validate_json(text).model_copy(update={"cached": True})
    except (FileNotFoundError, ValidationError):
        return None


def _build(
    record: BuildRecord, kernel: Kernel, tuning: Tuning, platform: Platform, cache_dir: Path, directory: Path
) -> BuildRecord:
    log = directory / LOG_NAME
    log.unlink(missing_ok=True)  # of an earlier failure
    begin = time.monotonic()
    try:
        disk_space.require(directory)
        platform.prepare(cache_dir)
        built = platform.build(held_to_specs(kernel), record.case, tuning, directory)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a kernel is foreign code: what it raises becomes a record
        where = str(log.relative_to(cache_dir)) if log.exists() else ""
        failed = {"build_s": time.monotonic() - begin, "failure": failures.failure(error, kernel, where)}
        return record.model_copy(update=failed)
    done = record.model_copy(
        update={
            "fingerprint": built.fingerprint,
            "build_s": time.monotonic() - begin,
            "predicted_us": built.wall.us if built.wall else None,
            **({} if built.tuning is None else {"tuning": plain_values(built.tuning)}),
        }
    )
    cache.replace_text(directory / RECORD_NAME, done.model_dump_json(indent=1))
    return done
