"""A run in a process of its own: `farm run --json`, awaited. The command line is the contract between the two."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from farm.errors import InfrastructureError, UsageError
from farm.model import serialization
from farm.model.run import RunRecord, RunRequest
from farm.model.timeouts import LADDER, Timeouts
from farm.process import installation

_USAGE = 2  # exit code; `farm.cli.exit_codes` is the one place that gives them out


async def run(request: RunRequest, out: Path, address: str | None, wait_s: float, timeouts: Timeouts) -> RunRecord:
    """The record of `request`, run in a child process. Cancellation interrupts the child and waits for its end.

    Raises `UsageError` where the child refuses the request, and `InfrastructureError` where it ends without a record.
    """
    child = await asyncio.create_subprocess_exec(
        *installation.module_command("farm", *arguments(request, out, address, wait_s, timeouts)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches the child once, through us, and not twice
    )
    talk = asyncio.ensure_future(child.communicate())
    try:
        printed, complaint = await asyncio.shield(talk)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            child.send_signal(signal.SIGTERM)
        await talk
        raise
    return _record(printed.decode(errors="replace"), complaint.decode(errors="replace"), child.returncode)


def arguments(request: RunRequest, out: Path, address: str | None, wait_s: float, timeouts: Timeouts) -> list[str]:
    """The command line that asks for the same."""
    words = ["run", request.kernel, "--json", "--out", str(out), "--wait", str(wait_s)]
    words += ["--devices", str(request.devices), "--repeats", str(request.repeats), "--platform", request.platform]
    words += ["--inputs-set", request.input_set, "--priority", request.priority.value]
    if request.source is None or not request.source.draw_seed:
        words += ["--seed", str(request.seed)]
    if request.source is not None:
        words += ["--source", request.source.repository, "--commit", request.source.commit]
        words += ["--base", request.source.base] if request.source.base else []
        words += ["--require-sandbox"] if request.source.require_sandbox else []
    words += [word for case in request.cases for word in ("--case", case)]
    words += [word for key, value in request.tuning.items() for word in ("--tuning", f"{key}={value}")]
    words += [word for rung in LADDER for word in (rung.option, str(getattr(timeouts, rung.field)))]
    chosen = request.selection
    words += ["--spread", chosen.spread.value, *(["--soc", chosen.soc] if chosen.soc else [])]
    words += [word for node in chosen.nodes for word in ("--node", node)]
    words += [word for device in chosen.devices for word in ("--device", device)]
    return [*words, *(["--address", address] if address else [])]


def _record(printed: str, complaint: str, code: int | None) -> RunRecord:
    if printed.strip():
        return serialization.parse(printed, "the run's output")
    said = complaint.strip().splitlines()
    message = said[-1].removeprefix("farm: ") if said else f"the run ended with exit code {code} and said nothing"
    raise UsageError(message) if code == _USAGE else InfrastructureError(message)
