"""Platform `command`: any external harness that takes a device id, as a profile describes it, on the farm's devices.

It starts the harness's own command in a private directory, reads what it prints and leaves, and takes the directory
away again. Devices go by their physical ids: the harness gets them as an argument, and no variable that renumbers them.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kernel.clock import Clock, HostUs, wall_time
from kernel.errors import DeviceError, HarnessError, PlatformUnavailableError, TensorError
from kernel.harness import file_arguments, invocation, own_digests, repository_copy, results, run_evidence, toolchain
from kernel.harness.bounded_log import BoundedLog
from kernel.harness.ending import require_measured
from kernel.harness.kernel import HarnessCall, HarnessKernel
from kernel.harness.launch import Access, Launcher, UnconfinedLauncher
from kernel.harness.process_tree import Bounds, ProcessExit
from kernel.harness.profile import Profile, Timing
from kernel.harness.profile_sections import placeholders
from kernel.harness.reading import Reader, Seen
from kernel.harness.ready_repository import ReadyRepository
from kernel.harness.results import ResultsError
from kernel.harness.set_up import SetupResult
from kernel.harness.step_record import SetupError
from kernel.harness.targets import file_of
from kernel.platforms import npu_smi
from kernel.platforms.protocol import LOG_NAME, TRACE_NAME, Built, Execution, Missing, Probe
from kernel.platforms.swimlane import write_trace
from kernel.spec import Kernel, Tensors, Tuning

_WORK = "work"  # below the trial's directory, taken away when it has been read
_COPY = "repository"  # below that, where a confined command runs in its repository
_ASKED = "asked"  # where a file is asked for its arguments
_ASK_S = 60.0
_ASKED_BYTES = 1 << 20  # kept of what it answers
_LEAST_S = 1.0
_PRINTED_BYTES = 4 << 20  # of the log, searched for the first fault


class Command:
    """Runs the files of one repository as `profile` says, on one of the profile's platforms."""

    noisy = True

    def __init__(self, profile: Profile, platform: str, root: Path, launcher: Launcher | None = None) -> None:
        """`root` is the repository's; `platform` one of the profile's. `launcher` starts the files."""
        self.profile = profile
        self._launcher = launcher or UnconfinedLauncher()
        self.name = platform  # devices keep one record of health, whoever works on them
        self.root = root
        self._how = profile.platforms[platform]
        self._toolchain: dict[bool, dict[str, str]] = {}  # before and after the set-up
        self.repository = ReadyRepository(profile, platform, root, self._launcher)
        self._asked: dict[str, list[str]] = {}  # digest of a file → the optional arguments it takes
        self.clock = Clock.MEASURED if self._how.clock is Timing.MEASURED else Clock.SIMULATED

    def at(self, root: Path) -> Command:
        """Return what runs the files of another commit of the repository in the same way."""
        return Command(self.profile, self.name, root, self._launcher)

    def missing(self) -> list[Missing]:
        """The command itself, where it is not on PATH, and no set-up step can put it there."""
        program = self.profile.command[0]
        if shutil.which(program) or placeholders(program) or any(step.activate for step in self.profile.setup):
            return []
        return [Missing(program, f"the harness {self.profile.name} is called by it", "install it, or add it to PATH")]

    def toolchain(self) -> dict[str, str]:
        """The profile that says what passes, and the versions of what it names; they are asked once."""
        digest = hashlib.sha256(self.profile.model_dump_json().encode()).hexdigest()
        return {f"profile {self.profile.name}": digest[:16], **self._versions()}

    def _versions(self) -> dict[str, str]:
        """The versions of the tools: those that the set-up makes are known once it is made."""
        ready = self.repository.result is not None
        if ready not in self._toolchain:
            root = self._ready.root
            ask = self._ask if self._launcher.confined else toolchain.asked(root, self._blank_environment(root))
            self._toolchain[ready] = toolchain.versions(
                self.profile.toolchain, root, lambda command: ask(self._ready.change.around(command))
            )
        return self._toolchain[ready]

    def _blank_environment(self, work: Path) -> dict[str, str]:
        """That of a trial of no file in particular."""
        known = invocation.values(self.profile, self._ready.root, self.name, "", HarnessCall(), 0, work)
        return invocation.environment(self.profile, self._how.set, known)

    def _ask(self, command: Sequence[str]) -> tuple[int | None, bytes]:
        """Ask a tool for its version, kept apart as a trial is: the commit may have put another one in its place."""
        printed = bytearray()
        with tempfile.TemporaryDirectory(prefix="farm-version-") as place:
            bounds = Bounds(toolchain.SECONDS, self.profile.limits.stop_seconds, _ASKED_BYTES)
            environment = self._blank_environment(Path(place))
            ended = self._launcher.run(
                command,
                Path(place),
                environment,
                bounds,
                lambda data: printed.extend(data[: max(0, _ASKED_BYTES - len(printed))]),
                Access(Path(place), self._ready.readable),
            )
        return ended.exit_code, bytes(printed)

    def soc(self, device: int) -> str:
        """The harness's name for what it runs on."""
        return f"{self.name} ({self.profile.name})"

    def card(self, device: int) -> str:
        """The physical card of `device`, as the driver's tool reports it; a simulated device is a card of its own."""
        return str(device) if self._how.simulated else npu_smi.card(device)

    def prepare(self, cache: Path) -> None:
        """Note where set-up steps keep what they make. Every run is a process of its own."""
        self.repository.cache = cache

    def set_up(self, *, make: bool = True) -> SetupResult:
        """Return the repository with what its set-up steps make; see `ReadyRepository.made`."""
        return self.repository.result or self.repository.made(self._versions(), make=make)

    @property
    def _ready(self) -> SetupResult:
        return self.repository.result or SetupResult(self.root)

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        """Nothing to build ahead, a harness compiles in its run; the fingerprint is the file's."""
        return Built(hashlib.sha256(self._own(kernel).path(case).read_bytes()).hexdigest(), None)

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Run the file `case`. Raises `HarnessError` or `DeviceError` where the run measured nothing."""
        if inputs or outputs:
            raise TensorError("a harness brings its own operands; none can be handed to it")
        assert isinstance(tuning, HarnessCall)
        self._own(kernel)
        if self.repository.result is None:
            self.repository.made_for_trial(self._versions(), directory, directory / LOG_NAME)
        return self._execute(case, tuning, device, directory)

    def probe(self, device: int, directory: Path) -> Probe:
        """Ask the driver, and run the profile's canary file; a simulated device needs neither."""
        if self._how.simulated and not self._how.canary:
            return Probe(True, "simulated device")
        driver = npu_smi.Reading(None, "") if self._how.simulated else npu_smi.read(device)
        if driver.healthy is False or not self._how.canary:
            return Probe(driver.healthy is not False, f"{driver.detail}; the profile names no canary")
        try:
            self.set_up(make=False)
        except SetupError as error:
            return Probe(True, f"{driver.detail}; the canary was not run: {error}")
        try:
            execution = self._execute(self._how.canary, HarnessCall(), device, directory)
        except (HarnessError, DeviceError, OSError) as error:
            return Probe(False, f"{self._how.canary}: {error}")
        wrong = [name for name, claim in execution.claims.items() if not claim.passed]
        return Probe(not wrong, f"{self._how.canary}: {'wrong ' + ', '.join(wrong) if wrong else 'passed'}")

    def _own(self, kernel: Kernel) -> HarnessKernel:
        if not isinstance(kernel, HarnessKernel):
            raise PlatformUnavailableError("command", f"'{kernel.name}' is no harness's file", "use farm run --harness")
        return kernel

    def _execute(self, target: str, call: HarnessCall, device: int, directory: Path) -> Execution:
        profile = self.profile.of(file_of(target, self.profile), self.name)
        with self._workplace(directory) as work:
            seen, ended = self._started(target, profile, call, device, directory, work)
            try:
                seen.claims.update(results.claims(work, profile.results, ended.exit_code))
            except ResultsError as error:
                seen.missing = str(error)
            require_measured(profile, seen, ended, _printed(directory / LOG_NAME))
            recording = run_evidence.recording(self.profile, work, seen)
            tasks = recording.tasks
            write_trace(directory / TRACE_NAME, tasks)
            seen, us, untimed = run_evidence.timed(self.profile, work, seen, recording)
            claims, undigested = run_evidence.digested(self.profile, work, seen.claims)
            if call.save:
                run_evidence.keep_data(self.profile, work, Path(call.save))
        measured = Execution(None, tasks, claims=claims, times=seen.times, untimed=untimed, undigested=undigested)
        if us is None or self._how.clock is Timing.HOST:
            return replace(measured, host=HostUs(us) if us is not None else None)
        return replace(measured, wall=wall_time(us, self.clock))

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
            repository_copy.remove(work)

    def _started(
        self, target: str, profile: Profile, call: HarnessCall, device: int, directory: Path, work: Path
    ) -> tuple[Seen, ProcessExit]:
        limits = profile.limits
        values = invocation.values(self.profile, self._shown(work), self.name, target, call, device, work)
        begin = time.monotonic()
        words = [
            *invocation.words(profile, target, call, values),
            *self._offered(target, profile, call, device, directory),
        ]
        seconds = max(limits.seconds - (time.monotonic() - begin), _LEAST_S)
        bounds = Bounds(seconds, limits.stop_seconds, limits.disk_mb << 20)
        reader = Reader(profile)
        with BoundedLog(directory / LOG_NAME, limits.log_mb << 20) as log:

            def take(data: bytes) -> None:
                log.write(data)
                reader.feed(data)

            ended = self._run(words, profile, values, bounds, take, self._devices(device, call), call)
        return reader.close(), ended

    def _run(
        self,
        command: Sequence[str],
        profile: Profile,
        values: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        devices: Sequence[int],
        call: HarnessCall | None = None,
    ) -> ProcessExit:
        """Run `command`; where it is a trial, which is `call`, also with what takes digests in its processes."""
        place = Path(profile.directory.format_map(values))
        environment = invocation.environment(profile, self._how.set, values)
        work, readable = Path(values["workdir"]), [*self._ready.readable]
        change = self._ready.change.without({*profile.environment.set, *self._how.set})
        if call is not None:
            path = change.applied(environment).get("PYTHONPATH", "")
            taken = own_digests.environment(work, profile.data, call, bounds.disk_bytes, path)
            environment, change = {**environment, **taken}, change.without(taken)
            readable += [Path(call.replay)] if call.replay else []
        words = change.around(command)
        access = Access(work, tuple(readable), tuple(devices))
        return self._launcher.run(words, place, environment, bounds, on_output, access)

    def _devices(self, device: int, call: HarnessCall) -> tuple[int, ...]:
        """Physical ids of the devices whose nodes the command must see."""
        return () if self._how.simulated else (device, *call.further)

    def _shown(self, work: Path) -> Path:
        """The repository as a command that runs in `work` finds it.

        One that is confined may not write to it; where the profile has commands run in it, it is a copy of their own.
        """
        if not (self._launcher.confined and "root" in placeholders(self.profile.directory)):
            return self._ready.root
        copy = work / _COPY
        if not copy.exists():
            shutil.copytree(self._ready.root, copy, symlinks=True)
            for each in (copy, *copy.rglob("*")):
                if not each.is_symlink():
                    each.chmod(each.stat().st_mode | 0o200)
        return copy

    def _offered(self, target: str, profile: Profile, call: HarnessCall, device: int, directory: Path) -> list[str]:
        """The optional arguments that the file takes, as it says itself; none where it says nothing.

        A file without an argument parser runs as a whole instead, below the same limits and for a short time.
        """
        address = run_evidence.digest(self.root / file_of(target, self.profile))
        if profile.flags and address not in self._asked:
            printed = bytearray()
            limits = profile.limits
            bounds = Bounds(min(_ASK_S, limits.seconds / 10), limits.stop_seconds, limits.disk_mb << 20)
            with self._workplace(directory / _ASKED) as work:
                values = invocation.values(self.profile, self._shown(work), self.name, target, call, device, work)
                ended = self._run(
                    [*(word.format_map(values) for word in profile.command), "--help"],
                    profile,
                    values,
                    bounds,
                    lambda data: printed.extend(data[: max(0, _ASKED_BYTES - len(printed))]),
                    self._devices(device, call),
                )
            (directory / _ASKED).rmdir()
            text = printed.decode(errors="replace") if ended.exit_code == 0 else ""
            self._asked[address] = file_arguments.arguments(text, profile.flags)
        return self._asked.get(address, [])


def _printed(log: Path) -> str:
    with log.open("rb") as file:
        return file.read(_PRINTED_BYTES).decode(errors="replace")
