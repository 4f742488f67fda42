"""Draws a run while it goes on: a bar for the run and one for each device; plain lines where there is no terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from farm.cli import first_line
from farm.execution.observer import Observer
from farm.leasing.device_queue import QueueEntry
from farm.model.run import DeviceRecord
from farm.text import counted, ordinal
from jobs.records import Arm, BuildRecord, TrialRecord, TrialStatus

_WORD_S = 60.0  # a log that nobody watches needs no more


def describe_trial(trial: TrialRecord) -> str:
    """One line on one ended trial."""
    whose = " of the merge base" if trial.arm is Arm.BASE else ""
    name = f"{trial.case}{whose} repeat {trial.repeat} on {trial.device}"
    if trial.status is not TrialStatus.OK:
        assert trial.failure is not None
        return f"{name}: {trial.status.value} (attempt {trial.attempt + 1}): {trial.failure.message}"
    wrong = [output for output, record in trial.outputs.items() if not record.tolerance.passed]
    wrong += [output for output, claim in trial.claims.items() if not claim.passed]
    numbers = f"wrong: {', '.join(wrong)}" if wrong else "numbers ok"
    wall = "no time" if trial.wall_us is None else f"{trial.wall_us:.2f} µs {trial.clock.value}"
    if trial.simulator_us is not None:
        wall = f"{trial.simulator_us:.2f} µs of the host"
    return f"{name}: {wall}, {numbers} ({trial.host_s:.1f} s)"


class PlainView(Observer):
    """One line an event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._prepares = ""
        self._next_word_s = 0.0
        self._place = -1

    def __enter__(self) -> PlainView:
        """Nothing to open."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing to close."""

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def preparing(self, what: str) -> None:
        """Say what is under way before anything is leased."""
        self._prepares = what
        self._say(what)

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        """Announce the run."""
        self._say(f"run {run_id}: {counted(trials, 'trial')} on {', '.join(device.id for device in devices)}")

    def waiting(self, ahead: list[QueueEntry], waited_s: float) -> None:
        """Say once a minute, and whenever it moves up, that the run waits, and its place in the queue."""
        if waited_s >= self._next_word_s or len(ahead) != self._place:
            self._next_word_s = waited_s + _WORD_S
            self._place = len(ahead)
            self._say(f"{self._prepares}: {describe_wait(ahead, waited_s)}")

    def locked(self, device: str, who: str) -> None:
        """Say that a device is passed over."""
        self._say(f"device {device} is {who}")

    def built(self, build: BuildRecord) -> None:
        """Announce a build."""
        self._say(describe_build(build))

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        """Announce a trial."""
        self._say(describe_trial(trial) if kept else f"warm-up on {trial.device} done")

    def extended(self, trials: int, why: str) -> None:
        """Announce more trials."""
        self._say(f"{counted(trials, 'more trial')}: {why}")


class LiveView(PlainView):
    """Bars on a terminal; ended trials scroll by above them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[stage]}"),
        )
        # rich would otherwise take over sys.stdout, where Ray's own messages go and which belongs to the caller.
        self._progress = Progress(
            *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._run: TaskID | None = None
        self._slots: dict[int, TaskID] = {}
        self._by_device: dict[str, int] = {}

    def __enter__(self) -> LiveView:
        """Start drawing."""
        first_line.no_longer_needed()
        self._progress.start()
        self._run = self._progress.add_task("starting", total=None, stage="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop drawing and leave the terminal as it was."""
        self._progress.stop()

    def preparing(self, what: str) -> None:
        """Say in the run's own line what is under way."""
        assert self._run is not None
        self._progress.update(self._run, description=what)

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        """A bar for the run and one for each device."""
        assert self._run is not None
        self._progress.update(self._run, description=f"run {run_id}", total=trials, stage="")
        for slot, device in enumerate(devices):
            self._slots[slot] = self._progress.add_task(device.id, total=trials // len(devices), stage="starting")
            self._by_device[device.id] = slot

    def waiting(self, ahead: list[QueueEntry], waited_s: float) -> None:
        """Say in the run's own line that it waits, and behind whom."""
        assert self._run is not None
        self._progress.update(self._run, stage=describe_wait(ahead, waited_s))

    def working(self, device: DeviceRecord, slot: int, stage: str) -> None:
        """What a device is doing."""
        self._by_device[device.id] = slot
        self._progress.update(self._slots[slot], description=device.id, stage=stage)

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        """Advance the bars."""
        super().measured(trial, kept)
        assert self._run is not None
        if trial.status is TrialStatus.OK:
            self._progress.advance(self._run)
            self._progress.advance(self._slots[self._by_device[trial.device]])

    def extended(self, trials: int, why: str) -> None:
        """Lengthen the run's bar."""
        super().extended(trials, why)
        assert self._run is not None
        total = self._progress.tasks[0].total or 0
        self._progress.update(self._run, total=total + trials)


def describe_wait(ahead: list[QueueEntry], waited_s: float) -> str:
    """A few words on a run that waits for devices."""
    if not ahead:
        return f"waits until enough are free, first in the queue ({waited_s:.0f} s)"
    return f"waits, {ordinal(len(ahead) + 1)} in the queue ({waited_s:.0f} s)"


def describe_build(build: BuildRecord) -> str:
    """One line on one build."""
    if build.failure is not None:
        return f"build {build.case}: {build.failure.message}"
    if build.cached:
        return f"build {build.case}: found built ({build.fingerprint[:12]})"
    return f"build {build.case}: done in {build.build_s:.1f} s ({build.fingerprint[:12]})"


def view(console: Console, quiet: bool) -> PlainView:
    """Bars on a terminal, lines elsewhere; nothing drawn over `--json`."""
    if quiet:
        return PlainView(Console(quiet=True))
    return LiveView(console) if console.is_terminal else PlainView(console)
