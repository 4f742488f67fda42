"""Builders of sweeps for tests: only what a test is about is spelt out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from farm.analysis.sweep_matrix import Fleet
from farm.model.run import DeviceRecord, Verdict
from farm.model.sweep import Cell, SweepFinding, SweepPlan, SweepRecord, SweepRequest
from farm.sweep.attribution import attribute
from farm.sweep.schedule import first_look
from farm.sweep.timing_outliers import medians, odd_times
from farm.sweep.verdict import decide, not_reached
from jobs.records import Failure, Fault
from kernel.clock import Clock

CASE, OUTPUT = "tiny", "kv"
REPEATS = 2


def device(number: int, per_node: int = 2, dies: int = 1) -> DeviceRecord:
    """Device `number` of a fleet with `per_node` devices a node and `dies` of them on each card."""
    node, index = f"node{number // per_node}", number % per_node
    return DeviceRecord(
        id=f"{node}/{index}",
        node=node,
        node_id=f"ray-{node}",
        index=index,
        soc="Ascend910B1",
        platform="fake",
        pid=4000 + number,
        card=str(index // dies),
    )


def fleet(count: int, per_node: int = 2, dies: int = 1) -> list[DeviceRecord]:
    """`count` devices."""
    return [device(number, per_node, dies) for number in range(count)]


def plan(devices: Iterable[DeviceRecord], noisy: bool = False, **changes: Any) -> SweepPlan:
    """A sweep over `devices` that has not begun; `changes` are of its request."""
    return SweepPlan(
        sweep_id="s1",
        request=request(**changes),
        clock=Clock.SIMULATED,
        noisy=noisy,
        commit="unknown",
        toolchain={},
        addresses={CASE: "a"},
        outputs={CASE: [OUTPUT]},
        devices=[each.id for each in devices],
        quarantined=[],
        started_at="2026-11-24T01:00:00+00:00",
    )


def cell(name: str, repeat: int = 0, digest: str = "a", **changes: Any) -> Cell:
    """One measured trial with the single output `kv`."""
    values: dict[str, Any] = {
        "device": name,
        "case": CASE,
        "seed": 0,
        "repeat": repeat,
        "sha256": {OUTPUT: digest * 64},
        "wall_us": 40.0,
        "fingerprint": "f" * 64,
        "host_s": 0.5,
    }
    return Cell(**{**values, **changes})


def failed(name: str, fault: Fault, kind: str = "hang", **changes: Any) -> Cell:
    """One trial that did not run to the end."""
    failure = Failure(fault=fault, kind=kind, message=f"{kind} on {name}")
    return cell(name, sha256={}, wall_us=None, fingerprint="", failure=failure, **changes)


def votes(devices: Iterable[DeviceRecord], rows: Iterable[str], seed: int = 0) -> list[Cell]:
    """`["aa", "ab"]` as two repeats on the first device with digests a and a, and on the second with a and b."""
    return [
        cell(each.id, repeat, letter, seed=seed)
        for each, row in zip(devices, rows, strict=True)
        for repeat, letter in enumerate(row)
    ]


def judged(devices: list[DeviceRecord], cells: Iterable[Cell]) -> list[SweepFinding]:
    """What the attribution finds."""
    return attribute(list(cells), Fleet.of(devices), REPEATS)


def request(**changes: Any) -> SweepRequest:
    """Two repeats of `tiny` with seed 0."""
    values: dict[str, Any] = {
        "kernel": "qkv_proj_rope",
        "cases": [CASE],
        "platform": "fake",
        "seeds": [0],
        "repeats": REPEATS,
        "input_set": "documented",
    }
    return SweepRequest(**{**values, **changes})


def record(devices: list[DeviceRecord], cells: list[Cell], **changes: Any) -> SweepRecord:
    """The record the farm would make of `cells`."""
    asked = changes.pop("request", request())
    names = [each.id for each in devices]
    fleet_ = Fleet.of(devices)
    median_us = medians(cells)
    findings = [*attribute(cells, fleet_, asked.repeats), *odd_times(median_us, noisy=False)]
    missing = not_reached(asked, cells, dict.fromkeys(names, "the budget of minutes ended first"))
    verdict, reason = decide(asked, cells, findings, missing, fleet_)
    values: dict[str, Any] = {
        "sweep_id": "20261124-010000-ab12cd",
        "verdict": verdict,
        "reason": reason,
        "request": asked,
        "clock": Clock.SIMULATED,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "toolchain": {"fake": "1.0"},
        "addresses": dict.fromkeys(asked.cases, "a" * 64),
        "outputs": {case: [OUTPUT] for case in asked.cases},
        "started_at": "2026-11-24T01:00:00.000+00:00",
        "finished_at": "2026-11-24T02:00:00.000+00:00",
        "budget_minutes": 240.0,
        "devices": devices,
        "planned": names,
        "left_out": [],
        "quarantined": [],
        "cells": cells,
        "median_us": median_us,
        "findings": findings,
        "not_reached": missing,
        "directory": "/sweeps/20261124-010000-ab12cd",
    }
    return SweepRecord(**{**values, **changes})


def clean(count: int = 6, **changes: Any) -> SweepRecord:
    """A sweep in which all agree."""
    devices = fleet(count)
    asked = changes.get("request", request())
    cells = [cell(each.id, job.repeat, case=job.case, seed=job.seed) for each in devices for job in first_look(asked)]
    found = record(devices, cells, **changes)
    assert found.verdict is Verdict.PASSED
    return found


def one_bad(count: int = 6) -> SweepRecord:
    """A sweep in which the second device has other bits, twice looked at."""
    devices = fleet(count)
    rows = ["aa", "bbbb", *["aa"] * (count - 2)]
    return record(devices, votes(devices, rows), quarantined=[devices[1].id])
