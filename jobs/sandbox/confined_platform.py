"""A platform that runs a foreign program in a process of its own, in a sandbox, and believes of its answer what it can.

Follows `kernel.platforms.protocol.Platform` in place of the platform it is made for, so that a trial is the same trial.
Each build and each run is a fresh process: nothing a program keeps in memory, in files or on disk reaches the next one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetensors.torch import save_file

from jobs.sandbox import bubblewrap, simulation
from jobs.sandbox import limits as supervision
from jobs.sandbox.bubblewrap import View
from jobs.sandbox.commit_kernel import InputChangedError, Origin, Overrides
from jobs.sandbox.limits import ADDRESS_FACTOR, SandboxCommand, SandboxLimits
from jobs.sandbox.protocol import MAX_ANSWER_BYTES, SandboxAction, SandboxAnswer, SandboxOrder, plain
from jobs.sandbox.scratch import CACHE, INSIDE, WORK, SandboxPaths, installation, keep, scratch, trusted_packages
from jobs.sandbox.simulation import simulated
from jobs.sandbox.validation import fill, require_consistent, require_same, tasks_of, understood
from kernel.clock import wall_time
from kernel.errors import (
    PlatformUnavailableError,
)
from kernel.platforms import swimlane
from kernel.platforms.protocol import (
    LOG_NAME,
    TRACE_NAME,
    Built,
    Confinable,
    Execution,
    Missing,
    Needs,
    Platform,
    Probe,
    Recorded,
    Resimulated,
)
from kernel.spec import Kernel, Tensors, Tuning

_WRITTEN = ("answer", "outputs", "log", "recording", "graph")
_OVERHEAD_BYTES = 1 << 20  # of a safetensors file over its tensors
_RECORDING_BYTES = 128 << 20


class Confined:
    """`inner` for a program from `tree`."""

    def __init__(
        self, inner: Platform, origin: Origin, tree: Path, place: str, limits: SandboxLimits, *, require_sandbox: bool
    ) -> None:
        """`tree` is an unpacked tree, `place` the program in it."""
        self.inner = inner
        self.name = inner.name
        self.clock = inner.clock
        self.noisy = inner.noisy
        self._origin = origin
        self._program = tree / place
        self._limits = limits
        self._require_sandbox = require_sandbox
        self._cache: Path | None = None

    def missing(self) -> list[Missing]:
        """What the platform misses, and the sandbox where one is required."""
        isolation = bubblewrap.isolation()
        if self._require_sandbox and not isolation.bubblewrap:
            return [*self.inner.missing(), Missing("a sandbox", isolation.lacks, "apt-get install bubblewrap")]
        return self.inner.missing()

    def toolchain(self) -> dict[str, str]:
        """The platform's."""
        return self.inner.toolchain()

    def soc(self, device: int) -> str:
        """The platform's."""
        return self.inner.soc(device)

    def card(self, device: int) -> str:
        """The platform's."""
        return self.inner.card(device)

    def prepare(self, cache: Path) -> None:
        """Prepare the platform: what it builds once, the confined process finds. Raises `PlatformUnavailableError`."""
        for missing in self.missing():
            raise PlatformUnavailableError(self.name, f"{missing.what} is missing ({missing.why})", missing.remedy)
        self.inner.prepare(cache)
        self._cache = cache

    def probe(self, device: int, directory: Path) -> Probe:
        """Probe by the platform itself: its canary is not foreign code."""
        return self.inner.probe(device, directory)

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        """Compile in a confined process. Raises `BadProgramAnswerError`, and what `_error_of` makes of a complaint."""
        with scratch() as place:
            answer = self._ask(SandboxAction.BUILD, case, tuning, {}, None, directory, place)
            answer = self._computed(answer, place, directory)
        wall = None if answer.wall_us is None else wall_time(answer.wall_us, self.clock)
        return Built(answer.fingerprint, wall, tasks_of(answer), dict(answer.tuning))

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Run in a confined process on copies of `inputs` and `outputs`, and copy back the outputs it answers with.

        Raises `BadProgramAnswerError` where outputs or times are not what an honest process gives, `UnprovenTimeError`
        where the time is not that of what was compiled, and what `_error_of` makes of a complaint.
        """
        operands = {f"input/{name}": tensor for name, tensor in inputs.items()}
        operands.update({f"output/{name}": tensor for name, tensor in outputs.items()})
        with scratch() as place:
            answer = self._ask(SandboxAction.RUN, case, tuning, operands, device, directory, place)
            if answer.changed_inputs:
                names = ", ".join(f"'{plain(name)}'" for name in answer.changed_inputs)
                raise InputChangedError(f"the kernel wrote to its input {names}")
            fill(outputs, place.outer("outputs"))
            tasks = tasks_of(answer)
            written = sum(tensor.nbytes for tensor in outputs.values())
            require_consistent(self.inner, answer, tasks, written, place.outer("recording"))
            answer = self._computed(answer, place, directory)
        tasks = tasks_of(answer)
        swimlane.write_trace(directory / TRACE_NAME, tasks)
        assert answer.wall_us is not None
        return Execution(wall_time(answer.wall_us, self.clock), tasks, answer.fingerprint)

    def _computed(self, answer: SandboxAnswer, place: SandboxPaths, directory: Path) -> SandboxAnswer:
        """`answer` with time, tasks and fingerprint as another process computes them from the compiled program.

        Raises `UnprovenTimeError` where they are others than the program's process says.
        """
        if not isinstance(self.inner, Resimulated):
            return answer
        computed = simulated(self.inner, place.outer("graph"), self._prepared(), self._limits, directory)
        require_same(answer, computed)
        update = {"wall_us": computed.wall_us, "tasks": computed.tasks, "fingerprint": computed.fingerprint}
        return answer.model_copy(update=update)

    def _ask(
        self,
        action: SandboxAction,
        case: str,
        tuning: Tuning,
        operands: Tensors,
        device: int | None,
        directory: Path,
        place: SandboxPaths,
    ) -> SandboxAnswer:
        needs = self.inner.needs(device) if isinstance(self.inner, Confinable) else Needs()
        directory.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in operands.items()}, place.outer("operands"))
        place.outer("job").write_text(self._job(action, case, tuning, device, needs, place).model_dump_json())
        place.share(("job", "operands"), _WRITTEN)
        answers = {
            place.outer("answer"): MAX_ANSWER_BYTES,
            place.outer("outputs"): sum(tensor.nbytes for tensor in operands.values()) + _OVERHEAD_BYTES,
            place.outer("log"): self._limits.log_bytes,
            place.outer("recording"): _RECORDING_BYTES,
            place.outer("graph"): simulation.MAX_PACKED_BYTES,
        }
        printed = place.outer("printed")
        try:
            ended = supervision.run(
                self._command(place, needs),
                bubblewrap.environment(needs.variables, "/tmp" if place.isolated else str(place.scratch)),
                self._limits,
                printed,
                answers,
                place.scratch,
            )
        finally:
            keep(directory / LOG_NAME, (printed, place.outer("log")), self._limits.log_bytes)
        return understood(ended, place.outer("answer"), printed)

    def _command(self, place: SandboxPaths, needs: Needs) -> SandboxCommand:
        trusted = bubblewrap.TRUSTED if place.isolated else installation()
        program = trusted / "jobs" / "sandbox" / "entrypoint.py"
        inside = [sys.executable, "-I", str(program), str(place.inner("job")), str(trusted)]
        if not place.isolated:
            return bubblewrap.bare(inside)
        read = trusted_packages(type(self.inner).__module__)
        read[place.inner(self._program.name)] = self._program
        read.update({place.inner(name): place.outer(name) for name in ("job", "operands")})
        read.update({path: path for path in needs.read})
        read.update({INSIDE / "cache" / name: self._prepared() / name for name in needs.cache})
        write = {place.inner(name): place.outer(name) for name in _WRITTEN}
        return bubblewrap.launch(inside, View(read, write, needs.devices, self._limits.scratch_bytes))

    def _job(
        self, action: SandboxAction, case: str, tuning: Tuning, device: int | None, needs: Needs, place: SandboxPaths
    ) -> SandboxOrder:
        assert isinstance(tuning, Overrides)
        kind, isolated, limits = type(self.inner), place.isolated, self._limits
        return SandboxOrder(
            action=action,
            platform=f"{kind.__module__}:{kind.__qualname__}",
            kernel=self._origin.entry,
            module=self._origin.module,
            place=place.inner(self._program.name) if isolated else self._program,
            case=case,
            overrides=dict(tuning.values),
            device=device or 0,
            cache=CACHE if isolated else self._prepared(),
            shared_cache=INSIDE / "cache" if isolated else None,
            directory=WORK if isolated else place.scratch / "run",
            operands=place.inner("operands"),
            outputs=place.inner("outputs"),
            answer=place.inner("answer"),
            log=place.inner("log"),
            recording=place.inner("recording") if isinstance(self.inner, Recorded) else None,
            graph=place.inner("graph") if isinstance(self.inner, Resimulated) else None,
            uid=bubblewrap.own_uid() if isolated else None,
            groups=sorted({node.stat().st_gid for node in needs.devices if node.exists()} - {0}),
            python=list(needs.python),
            file_bytes=limits.file_bytes,
            open_files=limits.open_files,
            cpu_s=limits.cpu_s,
            address_bytes=ADDRESS_FACTOR * limits.memory_bytes,
            processes=limits.processes if isolated and bubblewrap.counts_processes() else None,
        )

    def _prepared(self) -> Path:
        if self._cache is None:
            raise PlatformUnavailableError(self.name, "it was not prepared", "call prepare(cache) first")
        return self._cache
