"""Platform `command`: any external harness that takes a device id, as a profile describes it, on the farm's devices.

It starts the harness's own command in a private directory, reads what it prints and leaves, and takes the directory
away again. Devices go by their physical ids: the harness gets them as an argument, and no variable that renumbers them.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kernel.clock import Clock, HostUs, wall_time
from kernel.errors import DeviceError, HarnessError, PlatformUnavailableError, TensorError
from kernel.harness import head, perf_records, process_tree
from kernel.harness.bounded_log import BoundedLog
from kernel.harness.ending import require_measured
from kernel.harness.kernel import HarnessCall, HarnessKernel
from kernel.harness.process_tree import Bounds, ProcessExit
from kernel.harness.profile import Profile, Timing
from kernel.harness.reading import Reader, Seen
from kernel.platforms import npu_smi
from kernel.platforms.protocol import LOG_NAME, TRACE_NAME, Built, Claim, Execution, Missing, Probe, Task
from kernel.platforms.swimlane import write_trace
from kernel.spec import Kernel, Tensors, Tuning

_WORK = "work"  # below the trial's directory, taken away when it has been read
# Ray renumbers devices by it, and CANN drops ids it does not know without a word: ids are physical, or nothing.
_RENUMBERING = "ASCEND_RT_VISIBLE_DEVICES"
_PRINTED_BYTES = 4 << 20  # of the log, searched for the first fault


class Command:
    """Runs the files of one repository as `profile` says, on one of the profile's platforms."""

    noisy = True

    def __init__(self, profile: Profile, platform: str, root: Path) -> None:
        """`root` is the repository's; `platform` one of the profile's."""
        self.profile = profile
        self.name = platform  # devices keep one record of health, whoever works on them
        self.root = root
        self._how = profile.platforms[platform]
        self.clock = Clock.MEASURED if self._how.clock is Timing.MEASURED else Clock.SIMULATED

    def missing(self) -> list[Missing]:
        """The command itself, where it is not on PATH."""
        program = self.profile.command[0]
        if shutil.which(program):
            return []
        return [Missing(program, f"the harness {self.profile.name} is called by it", "install it, or add it to PATH")]

    def toolchain(self) -> dict[str, str]:
        """The profile that says what passes; the harness's own versions are in its log."""
        digest = hashlib.sha256(self.profile.model_dump_json().encode()).hexdigest()
        return {f"profile {self.profile.name}": digest[:16]}

    def soc(self, device: int) -> str:
        """The harness's name for what it runs on."""
        return f"{self.name} ({self.profile.name})"

    def card(self, device: int) -> str:
        """The physical card of `device`, as the driver's tool tells; a simulated device is a card of its own."""
        return str(device) if self._how.simulated else npu_smi.card(device)

    def prepare(self, cache: Path) -> None:
        """Nothing: every run is a process of its own."""

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        """Nothing to build ahead, a harness compiles in its run; the fingerprint is the file's."""
        return Built(hashlib.sha256(self._own(kernel).path(case).read_bytes()).hexdigest(), None)

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Run the file `case`. Raises `HarnessError` or `DeviceError` where the run is no measurement."""
        if inputs or outputs:
            raise TensorError("a harness brings its own operands; none can be handed to it")
        assert isinstance(tuning, HarnessCall)
        return self._execute(self._own(kernel).path(case), tuning, device, directory)

    def probe(self, device: int, directory: Path) -> Probe:
        """Ask the driver, and run the profile's canary file; a simulated device needs neither."""
        if self._how.simulated and not self._how.canary:
            return Probe(True, "simulated device")
        driver = npu_smi.Reading(None, "") if self._how.simulated else npu_smi.read(device)
        if driver.healthy is False or not self._how.canary:
            return Probe(driver.healthy is not False, f"{driver.detail}; the profile names no canary")
        try:
            execution = self._execute(self.root / self._how.canary, HarnessCall(), device, directory)
        except (HarnessError, DeviceError, OSError) as error:
            return Probe(False, f"{self._how.canary}: {error}")
        wrong = [name for name, claim in execution.claims.items() if not claim.passed]
        return Probe(not wrong, f"{self._how.canary}: {'wrong ' + ', '.join(wrong) if wrong else 'passed'}")

    def _own(self, kernel: Kernel) -> HarnessKernel:
        if not isinstance(kernel, HarnessKernel):
            raise PlatformUnavailableError("command", f"'{kernel.name}' is no harness's file", "use farm run --harness")
        return kernel

    def _execute(self, file: Path, call: HarnessCall, device: int, directory: Path) -> Execution:
        with self._workplace(directory) as work:
            seen, ended = self._started(file, call, device, directory, work)
            require_measured(self.profile, seen, ended, _printed(directory / LOG_NAME))
            tasks, lane_us = self._lanes(work)
            write_trace(directory / TRACE_NAME, tasks)
            claims = self._hashed(work, seen.claims)
            if call.save:
                self._keep_data(work, Path(call.save))
        us = self._single_us(seen, lane_us)
        if us is None or self._how.clock is Timing.HOST:
            host = HostUs(us) if us is not None else None
            return Execution(None, tasks, claims=claims, times=seen.times, host=host)
        return Execution(wall_time(us, self.clock), tasks, claims=claims, times=seen.times)

    @contextlib.contextmanager
    def _workplace(self, directory: Path) -> Iterator[Path]:
        """A private directory for one run. What it left there, 100 MB and more, goes as soon as it has been read."""
        work = directory / _WORK
        work.mkdir(parents=True)
        try:
            for each in self.profile.environment.directories:
                (work / each).mkdir(parents=True, exist_ok=True)
            yield work
        finally:
            _remove(work)

    def _started(
        self, file: Path, call: HarnessCall, device: int, directory: Path, work: Path
    ) -> tuple[Seen, ProcessExit]:
        limits = self.profile.limits
        values = self._values(file, call, device, work)
        bounds = Bounds(limits.seconds, limits.stop_seconds, limits.disk_mb << 20)
        reader = Reader(self.profile)
        with BoundedLog(directory / LOG_NAME, limits.log_mb << 20) as log:

            def take(data: bytes) -> None:
                log.write(data)
                reader.feed(data)

            words = self._words(file, call)
            command = [word.format_map(values) for word in words]
            ended = process_tree.run(command, work, self._environment(values), bounds, take)
        return reader.close(), ended

    def _values(self, file: Path, call: HarnessCall, device: int, work: Path) -> dict[str, str]:
        return {
            "file": str(file),
            "root": str(self.root),
            "device": ",".join(str(each) for each in (device, *call.further)),
            "platform": self.name,
            "workdir": str(work),
            "seed": str(call.seed),
            "data": call.replay,
        }

    def _words(self, file: Path, call: HarnessCall) -> list[str]:
        """The command's words, as templates."""
        words = [*self.profile.command, *head.read(file, self.profile, self.name).arguments]
        replay = self.profile.data.replay
        if replay is not None and call.save:
            words += replay.save
        if replay is not None and call.replay:
            words += replay.use
        return words

    def _environment(self, values: Mapping[str, str]) -> dict[str, str]:
        patterns = self.profile.environment.inherit
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name != _RENUMBERING and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
        own = {**self.profile.environment.set, **self._how.set}
        return {**inherited, **{name: value.format_map(values) for name, value in own.items()}}

    def _lanes(self, work: Path) -> tuple[tuple[Task, ...], float | None]:
        """The tasks and the wall time of the run's swim lanes; none where it left no file that can be read."""
        lanes = self.profile.swimlane
        if lanes is None:
            return (), None
        records = _matches(work, lanes.records)
        if not records:
            return (), None
        named = {}
        with contextlib.suppress(perf_records.RecordsError):  # numbers stand in for the names
            for path in _matches(work, lanes.names):
                named.update(perf_records.functions(path))
        try:
            return perf_records.read(records[0], named)
        except perf_records.RecordsError as error:
            raise HarnessError("nothing-measured", str(error)) from error

    def _single_us(self, seen: Seen, lane_us: float | None) -> float | None:
        """The median the harness timed, of the one mode or the primary one; else the swim lanes' time.

        Where several modes were timed and none is the primary one, there is no single time of the file.
        """
        times = seen.times
        chosen = times.get(self.profile.lines.primary_mode) or (next(iter(times.values())) if len(times) == 1 else None)
        if chosen is not None:
            return chosen.median_us
        return None if times else lane_us

    def _hashed(self, work: Path, claims: Mapping[str, Claim]) -> dict[str, Claim]:
        """`claims` with the digests of the outputs the run has kept, by the name of the file."""
        kept = {path.stem: path for path in _matches(work, self.profile.data.outputs)}
        return {
            name: replace(claim, sha256=_digest(kept[name])) if name in kept else claim
            for name, claim in claims.items()
        }

    def _keep_data(self, work: Path, where: Path) -> None:
        """Move what the run has saved to `where`. Raises `HarnessError` where it saved nothing."""
        replay = self.profile.data.replay
        found = [path for path in _matches(work, [replay.data]) if path.is_dir()] if replay is not None else []
        if not found:
            raise HarnessError("nothing-measured", "the harness was asked to save its data, and saved none")
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found[0], where)


def _matches(work: Path, globs: list[str]) -> list[Path]:
    """Files and directories that match, the globs in order, and no link that leads elsewhere."""
    inside = work.resolve()
    found = [path for glob in globs for path in sorted(work.glob(glob))]
    return [path for path in found if path.resolve().is_relative_to(inside)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _printed(log: Path) -> str:
    with log.open("rb") as file:
        return file.read(_PRINTED_BYTES).decode(errors="replace")


def _remove(work: Path) -> None:
    """Delete `work`, also what the run has made unwritable."""

    def again(function: object, path: str, error: object) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        target = Path(path)
        if target.is_dir() and not target.is_symlink():
            target.chmod(0o700)
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    shutil.rmtree(work, onerror=again)
