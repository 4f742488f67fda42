"""The time of a foreign program, from a process that has loaded none of its code.

The program's own process hands over what it has compiled, as data. A second confined process, with nothing of the
commit in it, has the platform's cost model time that. So neither a patched clock nor a patched cost model nor forged
cycles reach the time that is believed. The second process is confined as well: it reads what a stranger wrote.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from pydantic import ValidationError

from jobs import cache as files
from jobs.content_address import content_address
from jobs.sandbox import bubblewrap
from jobs.sandbox import limits as supervision
from jobs.sandbox.bubblewrap import View
from jobs.sandbox.commit_kernel import UnprovenTimeError
from jobs.sandbox.limits import ADDRESS_FACTOR, SandboxCommand, SandboxLimits
from jobs.sandbox.protocol import MAX_ANSWER_BYTES, SandboxAction, SandboxAnswer, SandboxOrder
from jobs.sandbox.scratch import WORK, SandboxPaths, installation, keep, scratch, trusted_packages
from jobs.sandbox.validation import understood
from kernel.errors import KernelLayerError
from kernel.platforms.protocol import LOG_NAME, Platform, Resimulated

MAX_PACKED_BYTES = 128 << 20
DIRECTORY = "simulations"  # in the cache: what was simulated once need not be again
_VERSION = 1  # of what is in there
_READ, _WRITTEN = ("job", "graph"), ("answer", "log")


def simulated(platform: Platform, graph: Path, cache: Path, limits: SandboxLimits, directory: Path) -> SandboxAnswer:
    """Return time, tasks and fingerprint of the compiled program in `graph`, as the platform's cost model gives them.

    Equal programs are simulated once for each cache. What the process prints goes to the log in `directory`.

    Raises:
        UnprovenTimeError: It gives no time.
    """
    assert isinstance(platform, Resimulated)
    if graph.stat().st_size == 0:
        raise UnprovenTimeError("the program's process handed over no compiled program, so its time cannot be computed")
    kept = cache / DIRECTORY / f"{_key(platform, graph)}.json"
    if (known := _known(kept)) is not None:
        return known
    with scratch() as place:
        shutil.copyfile(graph, place.outer("graph"))
        try:
            answer = _ask(platform.simulator, limits, place, directory / LOG_NAME)
        except (KernelLayerError, OSError) as error:
            raise UnprovenTimeError(f"the program's time cannot be computed: {error}") from error
    if answer.wall_us is None or not answer.fingerprint:
        raise UnprovenTimeError("the cost model gave no time for the compiled program")
    files.replace_text(kept, answer.model_dump_json())
    return answer


def _key(platform: Platform, graph: Path) -> str:
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    return content_address({"graph": digest, "toolchain": platform.toolchain(), "version": _VERSION})


def _known(kept: Path) -> SandboxAnswer | None:
    try:
        return SandboxAnswer.model_validate_json(kept.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _ask(simulator: str, limits: SandboxLimits, place: SandboxPaths, log: Path) -> SandboxAnswer:
    order = SandboxOrder(
        action=SandboxAction.SIMULATE,
        platform=simulator,
        kernel="",
        module="",
        place=place.inner("graph"),
        case="",
        overrides={},
        device=0,
        cache=place.inner("cache"),
        shared_cache=None,
        directory=WORK if place.isolated else place.scratch / "run",
        operands=place.inner("operands"),
        outputs=place.inner("outputs"),
        answer=place.inner("answer"),
        log=place.inner("log"),
        recording=None,
        graph=place.inner("graph"),
        uid=bubblewrap.own_uid() if place.isolated else None,
        groups=[],
        python=[],
        file_bytes=limits.file_bytes,
        open_files=limits.open_files,
        cpu_s=limits.cpu_s,
        address_bytes=ADDRESS_FACTOR * limits.memory_bytes,
        processes=limits.processes if place.isolated and bubblewrap.counts_processes() else None,
    )
    place.outer("job").write_text(order.model_dump_json())
    place.share(_READ, _WRITTEN)
    printed = place.outer("printed")
    answers = {place.outer("answer"): MAX_ANSWER_BYTES, place.outer("log"): limits.log_bytes}
    variables = bubblewrap.environment({}, "/tmp" if place.isolated else str(place.scratch))
    try:
        ended = supervision.run(_command(simulator, place, limits), variables, limits, printed, answers, place.scratch)
    finally:
        keep(log, (printed, place.outer("log")), limits.log_bytes)
    return understood(ended, place.outer("answer"), printed)


def _command(simulator: str, place: SandboxPaths, limits: SandboxLimits) -> SandboxCommand:
    trusted = bubblewrap.TRUSTED if place.isolated else installation()
    program = trusted / "jobs" / "sandbox" / "entrypoint.py"
    inside = [sys.executable, "-I", str(program), str(place.inner("job")), str(trusted)]
    if not place.isolated:
        return bubblewrap.bare(inside)
    read = trusted_packages(simulator)
    read.update({place.inner(name): place.outer(name) for name in _READ})
    write = {place.inner(name): place.outer(name) for name in _WRITTEN}
    return bubblewrap.launch(inside, View(read, write, (), limits.scratch_bytes))
