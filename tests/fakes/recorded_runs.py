"""What the recorded farm leaves in place of measuring: a store with one run for each thing that a run may find."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ci.store.engine import open_database
from farm.model.run import GainRecord, SourceRecord, Verdict
from farm.report.sweep.write import write_sweep
from farm.store.run_store import Store
from kernel.clock import Clock
from tests.fakes import recorded_farm
from tests.fakes.recorded_farm import COMMIT, RECORDED
from tests.farm import samples, sweep_samples

_SOURCE: Mapping[str, Any] = {"commit": COMMIT, "tree": "", "place": "kernel"}
_GAIN = GainRecord(case="tiny", clock=Clock.SIMULATED, before_us=40.0, after_us=20.0, landed=9, largest_gain=0.1)
_RUNS: Mapping[str, Mapping[str, Any]] = {
    "begun": {"verdict": None},
    "passed": {"verdict": Verdict.PASSED, "reason": "it is passed"},
    "failed": {"verdict": Verdict.FAILED, "reason": "it is failed"},
    "errored": {"verdict": Verdict.ERRORED, "reason": "it is errored"},
    "interrupted": {"verdict": Verdict.ERRORED, "reason": "interrupted"},
    "rules": {"verdict": Verdict.PASSED, "source": SourceRecord(**_SOURCE, rule_changes=["kernel/rules.py"])},
    "gains": {"verdict": Verdict.PASSED, "source": SourceRecord(**_SOURCE, gains=[_GAIN])},
}


def record(directory: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """Write the evidence into `directory`; `changes` has other runs, or other fields of these, by their names."""
    directory.mkdir()
    engine = open_database(f"sqlite:///{directory / 'store.sqlite'}", print)
    store = Store(engine)
    for name, fields in {**_RUNS, **(changes or {})}.items():
        begun: dict[str, Any] = {"run_id": f"recorded-{name}", "commit": COMMIT, "directory": RECORDED, "trials": []}
        store.begin(samples.run(**begun, verdict=None))
        if fields["verdict"] is not None:
            store.finish(samples.run(**begun, **fields))
    engine.dispose()
    sweeps = {
        "clean": sweep_samples.clean(),
        "bad": sweep_samples.one_bad(),
        "resumed": sweep_samples.clean(resumed=True),
    }
    for name, made in sweeps.items():
        (directory / name / made.sweep_id).mkdir(parents=True)
        write_sweep(made, directory / name / made.sweep_id)
    return directory


def farm(evidence: Path) -> tuple[str, ...]:
    """The command in place of `farm`."""
    return (sys.executable, "-I", "-S", recorded_farm.__file__, str(evidence))
