"""Runs on two chips, each with a clock, task records and functions of its own."""

from __future__ import annotations

import json

from golden import arguments, begin, passed

if __name__ == "__main__":
    arguments()
    work = begin("TwoChips")
    for rank, (zero, name) in enumerate(((1_000, "qproj"), (90_000_000, "gather"))):
        chip = work / "dfx_outputs" / f"rank{rank}" / f"d{rank}"
        chip.mkdir(parents=True)
        content = {
            "chip_swimlane_level": 2,
            "metadata": {"clock_freq_hz": 50_000_000, "num_cores": 1, "core_types": ["aiv"]},
            "aicore_tasks": [[0, 7, 0, zero + 100 * rank, zero + 1000]],
            "aicpu_tasks": [[0, 0, zero, zero + 1000 * (rank + 1)]],
        }
        (chip / "chip_swimlane_records.json").write_text(json.dumps(content))
        (chip / "deps.json").write_text(json.dumps({"tasks": [{"task_id": "7", "kernel_ids": [-1, 3, -1]}]}))
        level = work / "next_levels" / str(rank)
        level.mkdir(parents=True)
        (level / "kernel_config.py").write_text(f'KERNELS = [{{"func_id": 3, "name": "{name}", "core_type": "aiv"}}]')
    passed()
