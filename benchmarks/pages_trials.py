"""Rows of trials by the hundred thousand: each record is a pattern with a few values put in."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from jobs.records import OutputRecord, TaskRecord, ToleranceRecord, TrialRecord, TrialStatus
from kernel.clock import Clock

STAGES = ("attn-norm", "qr-proj", "kv-proj", "qr-norm", "quant", "q-proj", "dequant", "rope")
# Stand in a pattern for what differs from trial to trial.
_DEVICE, _NAME, _REPEAT, _WALL = "<device>", "<name>", "<repeat>", "<wall>"

_FINGERPRINT = "f" * 64


class Trial(NamedTuple):
    """What differs from trial to trial of a run."""

    device: str
    repeat: int
    wall_us: float


def trial_rows(
    run_id: str, case: str, clock: Clock, level_us: float, tasks: int, trials: Iterable[Trial]
) -> Iterator[dict[str, Any]]:
    """What `farm.store.row_mapping.of_trial` makes, in a tenth of the time; all tasks together take `level_us`."""
    pattern = _pattern(case, clock, level_us, tasks)
    alike = {"run_id": run_id, "case": case, "attempt": 0, "status": TrialStatus.OK.value, "clock": clock.value}
    alike["fingerprint"] = _FINGERPRINT
    for device, repeat, wall_us in trials:
        values = {_DEVICE: device, _NAME: device.replace("/", "-"), f'"{_REPEAT}"': repeat, f'"{_WALL}"': wall_us}
        record = functools.reduce(lambda text, item: text.replace(item[0], str(item[1])), values.items(), pattern)
        yield {**alike, "device": device, "repeat": repeat, "wall_us": wall_us, "record": record}


@functools.lru_cache(maxsize=64)
def _pattern(case: str, clock: Clock, level_us: float, tasks: int) -> str:
    each = level_us / tasks * 8
    record = TrialRecord(
        case=case,
        device=_DEVICE,
        repeat=0,
        attempt=0,
        status=TrialStatus.OK,
        clock=clock,
        wall_us=level_us,
        outputs={name: _output(name) for name in ("q", "kv", "qr", "qr_scale")},
        tasks=[
            TaskRecord(
                name=f"task-{index}",
                stage=STAGES[index * len(STAGES) // tasks],
                core=f"AIC_{index % 8}",
                start_us=round(index // 8 * each, 3),
                duration_us=round(each * 0.9, 3),
            )
            for index in range(tasks)
        ],
        fingerprint=_FINGERPRINT,
        host_s=20.0,
        log=f"logs/{case}-{_NAME}/trial.log",
    )
    return json.dumps({**record.model_dump(mode="json"), "repeat": _REPEAT, "wall_us": _WALL}, separators=(",", ":"))


def _output(name: str) -> OutputRecord:
    tolerance = ToleranceRecord(
        passed=True,
        reference="golden",
        outlier_share=0.0001,
        allowed_outlier_share=0.005,
        max_abs_err=0.0078125,
        max_rel_err=0.03125,
        worst_index=[3, 1, 60],
        worst_actual=1.5,
        worst_expected=1.4921875,
        nonfinite=0,
    )
    digest = hashlib.sha256(name.encode()).hexdigest()
    return OutputRecord(sha256=digest, shape=[128, 64, 512], dtype="bfloat16", tolerance=tolerance)
