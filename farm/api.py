"""The Python API: what the command line does, as functions that take values and return records.

Import it as `import farm`; see docs/api.md. Defaults are those of the commands of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from farm import paths
from farm.execution.observer import Observer
from farm.model.priority import Priority
from farm.model.run import RunRecord, RunRequest, SourceRequest, Verdict
from farm.model.selection import Selection
from farm.model.timeouts import Timeouts
from farm.report.run import notebook
from farm.store import run_lookup
from farm.store.row_mapping import RunSummary
from farm.store.run_store import Store
from jobs.kernel_process.described import kernel_of
from kernel.file_kernels import absolute
from kernel.registry import name_of
from kernel.spec import Kernel

RunRecord.notebook_html = notebook.html


def run(
    kernel: str | Kernel = "qkv_proj_rope",
    *,
    cases: Sequence[str] = (),
    devices: int = 3,
    repeats: int = 3,
    platform: str = "a2a3sim",
    seed: int | None = None,
    input_set: str | None = None,
    tuning: Mapping[str, object] | None = None,
    source: str | os.PathLike[str] | None = None,
    commit: str = "HEAD",
    base: str | None = None,
    require_sandbox: bool = False,
    out: str | os.PathLike[str] = "farm-runs",
    address: str | None = None,
    wait_s: float = 0.0,
    timeouts: Timeouts | None = None,
    priority: Priority = Priority.INTERACTIVE,
    selection: Selection | None = None,
    observer: Observer | None = None,
) -> RunRecord:
    """Validate `kernel` on `devices` devices at once and return the finished record, as `farm run` does.

    `kernel` is a name, a file as `path/to/mine.py:KERNEL`, or the object itself, which has to be in a file. `cases`
    defaults to the kernel's own, `input_set` to the documented one; `tuning` maps knobs to values. The run is
    in the store, its reports in `out / run_id`. `address` names a Ray cluster; without one a local Ray is started for
    this call and ended with it. `observer` is called with what happens meanwhile.

    With `source`, a local git repository, the program is that of its `commit` and runs confined, and `base` is measured
    in turn with it, as with `farm run --source`; then a `seed` of None is drawn once it is built, else it is 0.

    A kernel that fails is a record whose verdict says so, not an exception; so is Ctrl-C once devices are leased.
    Raises `UsageError` or an error of `kernel.errors` for a request that cannot be carried out, `CapacityError` where
    there are too few devices, `InfrastructureError` where no cluster is available. One call at a time in a process;
    `run_async` has no such limit.
    """
    from farm.execution.session import SessionOptions
    from farm.validation import workflow  # Ray and torch: not for those who only read records

    kernel = _named(kernel)
    program = _source(kernel, source, commit, base, seed, require_sandbox)
    request = _request(kernel, cases, devices, repeats, platform, seed, input_set, tuning, priority, selection, program)
    how = SessionOptions(out=Path(out), address=address, wait_s=wait_s, timeouts=timeouts or Timeouts())
    return workflow.run(workflow.resolve(request, how, kernel_of(request.kernel)), how, observer)


async def run_async(
    kernel: str | Kernel = "qkv_proj_rope",
    *,
    cases: Sequence[str] = (),
    devices: int = 3,
    repeats: int = 3,
    platform: str = "a2a3sim",
    seed: int | None = None,
    input_set: str | None = None,
    tuning: Mapping[str, object] | None = None,
    source: str | os.PathLike[str] | None = None,
    commit: str = "HEAD",
    base: str | None = None,
    require_sandbox: bool = False,
    out: str | os.PathLike[str] = "farm-runs",
    address: str | None = None,
    wait_s: float = 0.0,
    timeouts: Timeouts | None = None,
    priority: Priority = Priority.INTERACTIVE,
    selection: Selection | None = None,
) -> RunRecord:
    """`run` without blocking the event loop, in a process of its own; several may be awaited together.

    Cancelled, it interrupts the run as Ctrl-C does and waits until the devices are given back; what was measured is in
    the store as `errored: interrupted`. Raises what `run` raises before anything is started; what goes wrong later is
    `UsageError` or `InfrastructureError` with the same message.
    """
    from farm.validation import subprocess_run

    kernel = _named(kernel)
    program = _source(kernel, source, commit, base, seed, require_sandbox)
    request = _request(kernel, cases, devices, repeats, platform, seed, input_set, tuning, priority, selection, program)
    return await subprocess_run.run(request, Path(out), address, wait_s, timeouts or Timeouts())


def load(run: str | os.PathLike[str] = "latest") -> RunRecord:
    """The record of one run: its id, an unambiguous beginning of it, `latest`, its directory or its report.json.

    Raises `UnknownRunError` or another `UsageError`.
    """
    return run_lookup.load(os.fspath(run))


def runs(limit: int = 20, *, kernel: str | None = None, verdict: Verdict | None = None) -> list[RunSummary]:
    """The newest `limit` runs of the store, newest first; only those of `kernel` and of `verdict` where given."""
    with Store.open(paths.store_url()) as store:
        return store.list(limit, kernel, verdict)


def _named(kernel: str | Kernel) -> str:
    return kernel if isinstance(kernel, str) else name_of(kernel)


def _source(
    kernel: str,
    source: str | os.PathLike[str] | None,
    commit: str,
    base: str | None,
    seed: int | None,
    require_sandbox: bool,
) -> SourceRequest | None:
    if source is None and base is None:
        return None
    from farm.source import programs

    where = Path() if source is None else Path(source)
    return programs.requested(kernel, where, commit, base, draw_seed=seed is None, require_sandbox=require_sandbox)


def _request(
    kernel: str,
    cases: Sequence[str],
    devices: int,
    repeats: int,
    platform: str,
    seed: int | None,
    input_set: str | None,
    tuning: Mapping[str, object] | None,
    priority: Priority,
    selection: Selection | None,
    source: SourceRequest | None,
) -> RunRequest:
    kernel = absolute(kernel)
    found = kernel_of(kernel)
    return RunRequest(
        kernel=kernel,
        cases=list(cases) or [found.default_case],
        platform=platform,
        devices=devices,
        repeats=repeats,
        input_set=input_set or next(iter(found.input_sets)),
        seed=seed or 0,
        tuning={key: str(value) for key, value in (tuning or {}).items()},
        priority=priority,
        selection=selection or Selection(),
        source=source,
    )
