"""Search over a kernel's tuning space on all leased devices at once.

Optuna proposes, the farm measures. Optuna's ask-and-tell leaves the devices to the lease; Ray Tune would bring a second
scheduler with its own idea of who holds them. Its tree-structured Parzen estimator handles categorical knobs, and with
`constant_liar` it does not propose the same point to every idle device. The study is a journal file, so a search that
was interrupted goes on where it stopped.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import tomlkit
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from farm.errors import UsageError
from farm.model.budgets import load_budget
from farm.model.landed import rounded_up, with_landed
from farm.tuning.campaign import Point, disqualification
from jobs.records import TrialRecord
from kernel.clock import Clock
from kernel.errors import TuningError
from kernel.spec import TunableKernel

# Proposals in a row that break a guard before the space counts as exhausted around here.
MAX_REFUSED = 300
_SEED = 0  # of the sampler: the same study twice proposes the same points


@dataclass(frozen=True, slots=True)
class Measured:
    """One point of a search."""

    overrides: Mapping[str, str]
    wall_us: float | None
    disqualified: str  # "" where it counts


@dataclass(slots=True)
class TuningSearch:
    """A `farm.tuning.campaign.Campaign` that asks Optuna for every next point."""

    kernel: TunableKernel
    case: str
    study: optuna.Study
    trials: int  # points to measure in all, those of earlier searches of the same study included
    report: Callable[[Measured, int, int], None]  # point, how many are measured, of how many
    _asked: dict[str, Trial] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)  # programs measured or under way

    def __post_init__(self) -> None:
        for trial in self.measured():
            self._seen.add(self._program(trial.overrides))

    def next(self) -> Point | None:
        """The next point that holds every guard and has not been measured; None when there are enough."""
        if len(self.measured()) + len(self._asked) >= self.trials:
            return None
        for _ in range(MAX_REFUSED):
            trial = self.study.ask(self._distributions())
            overrides = dict(trial.params)
            try:
                program = self._program(overrides)
            except TuningError as error:
                trial.set_user_attr("refused", str(error))
                self.study.tell(trial, state=TrialState.PRUNED)
                continue
            if program in self._seen:
                self.study.tell(trial, state=TrialState.PRUNED)
                continue
            self._seen.add(program)
            label = f"{self.case}-p{trial.number}"
            self._asked[label] = trial
            return Point(label, overrides)
        if not self._asked and not self.measured():
            raise UsageError(
                f"no point of the space of {self.kernel.name} {self.case} holds every guard; widen the space"
            )
        return None

    def took(self, point: Point, record: TrialRecord) -> None:
        """Tell Optuna; wrong numbers disqualify a point, however fast."""
        trial = self._asked.pop(point.label)
        why = disqualification(record)
        trial.set_user_attr("disqualified", why)
        if why:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, record.wall_us)
        self.report(Measured(point.overrides, record.wall_us, why), len(self.measured()), self.trials)

    def measured(self) -> list[Measured]:
        """Every point measured so far, in order, earlier searches included."""
        return [
            Measured(
                trial.params, trial.value if trial.state is TrialState.COMPLETE else None, attributes["disqualified"]
            )
            for trial in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
            if "disqualified" in (attributes := trial.user_attrs)
        ]

    def best(self) -> Measured | None:
        """The fastest point that counts."""
        counting = [point for point in self.measured() if point.wall_us is not None]
        return min(counting, key=lambda point: point.wall_us or 0.0, default=None)

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {key: CategoricalDistribution(values) for key, values in self.kernel.tuning_space(self.case).items()}

    def _program(self, overrides: Mapping[str, str]) -> str:
        return repr(sorted(self.kernel.tuning(self.case, overrides).as_dict().items()))


def fruitless(points: list[Measured]) -> str:
    """Why a search that measured `points`, none of which counts, has no best; one line."""
    if not points:
        return "no point was measured; run the same command again"
    return f"none of {len(points)} measured points counts; the last one: {points[-1].disqualified}"


def open_study(path: Path, kernel: TunableKernel, case: str, platform: str, sources: str) -> optuna.Study:
    """The study of one kernel, case, platform and state of the sources, in journal file `path`, made if need be.

    `sources` is a digest: points measured on other sources are another study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=f"{kernel.name} {case} {platform} {sources}",
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=_SEED, constant_liar=True, n_startup_trials=20),
        load_if_exists=True,
    )
    best_known = {key: values[0] for key, values in kernel.tuning_space(case).items()}
    # Asked for again where an interrupt caught it under way: it is what every other point is held against.
    if not any(_holds(trial, best_known) for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(best_known)
    return study


def _holds(trial: FrozenTrial, params: Mapping[str, str]) -> bool:
    """Whether `trial` has measured `params`, or waits to."""
    if trial.state is TrialState.WAITING:
        return bool(trial.system_attrs.get("fixed_params") == params)
    return trial.state is not TrialState.RUNNING and trial.params == params


def repository_of(path: Path) -> Path:
    """Return the directory that a patch of `path` applies in: its git repository, else where it lies."""
    path = path.resolve()
    return next((parent for parent in path.parents if (parent / ".git").exists()), path.parent)


def patch(kernel: TunableKernel, case: str, best: Measured, platform: str, clock: Clock) -> str:
    """Return a unified diff, for the repository's root, that makes `best` the best known tuning of `case`.

    On a simulated `clock` it also adds the time of `best` to the kernel's budget file, where it is a gain: a ratchet
    that stays behind would let the next change lose it again.
    """
    return _tunings_patch(kernel, case, best.overrides) + _budget_patch(kernel, case, best, platform, clock)


def _budget_patch(kernel: TunableKernel, case: str, best: Measured, platform: str, clock: Clock) -> str:
    path = kernel.budgets()
    budget = load_budget(path, platform, case)
    landed = budget.ratchet_us if budget else None
    if clock is not Clock.SIMULATED or best.wall_us is None or landed is None or rounded_up(best.wall_us) >= landed:
        return ""
    before = path.read_text(encoding="utf-8")
    return _diff(path, before, with_landed(before, platform, case, best.wall_us, "found by farm tune"))


def _tunings_patch(kernel: TunableKernel, case: str, overrides: Mapping[str, str]) -> str:
    path = kernel.tunings()
    before = path.read_text(encoding="utf-8")
    document = tomlkit.parse(before)
    table = document.setdefault(case, tomlkit.table())
    default, wanted = kernel.defaults(), kernel.tuning(case, overrides).as_dict()
    for key, value in wanted.items():
        if value != default[key]:
            table[key] = value
        elif key in table:
            del table[key]
    return _diff(path, before, tomlkit.dumps(document))


def _diff(path: Path, before: str, after: str) -> str:
    name = path.resolve().relative_to(repository_of(path)).as_posix()
    return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{name}", f"b/{name}"))
