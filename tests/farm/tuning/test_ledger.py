"""The ledger and the search as campaigns, on a pretended kernel: what is asked, what is kept, what is drawn."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.model.budgets import Budget, load_budget
from farm.report.ledger import markdown, plot
from farm.tuning.campaign import Campaign
from farm.tuning.ledger import Ledger
from farm.tuning.search import Measured, TuningSearch, fruitless, open_study, patch
from kernel.clock import Clock
from kernel.errors import TuningError
from kernel.spec import Step
from tests.farm.evidence import trial


@pytest.fixture(autouse=True)
def soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of six points needs not hundreds of proposals to see that there is no other."""
    monkeypatch.setattr("farm.tuning.search.MAX_REFUSED", 60)


@dataclass(frozen=True, slots=True)
class Knobs:
    a: int = 1
    b: int = 1

    def as_dict(self) -> dict[str, int | float | bool | str]:
        return asdict(self)


class Pretended:
    """Two knobs; a=3 needs b=2, and the best is a=2, b=2."""

    name = "pretended"

    def __init__(self, directory: Path) -> None:
        self._file = directory / "tunings.toml"
        self._file.write_text("# best\n[tiny]\na = 2\nb = 2\n")
        landed = "landed = [{ us = 22.0, reason = 'first' }]"
        self.budgets().write_text(f"[a2a3sim.tiny]\nceiling_us = 50.0\nsource = 'a guess'\n{landed}\n")

    def tuning(self, case: str, overrides: Mapping[str, str]) -> Knobs:
        knobs = Knobs(**{"a": 2, "b": 2, **{key: int(value) for key, value in overrides.items()}})
        if knobs.a == 3 and knobs.b != 2:
            raise TuningError("a 3 needs b 2")
        return knobs

    def defaults(self) -> Mapping[str, int | float | bool | str]:
        return Knobs().as_dict()

    def tunings(self) -> Path:
        return self._file

    def budgets(self) -> Path:
        return self._file.with_name("budgets.toml")

    def untuned(self, case: str) -> Mapping[str, str]:
        return {"a": "3", "b": "1"}

    def steps(self, case: str) -> tuple[Step, ...]:
        return (Step("S", "b doubled", ("b",)), Step("T", "a lowered", ("a",)))

    def tuning_space(self, case: str) -> Mapping[str, tuple[str, ...]]:
        return {"a": ("2", "1", "3"), "b": ("2", "1")}


def time_of(overrides: Mapping[str, str]) -> float:
    return 10.0 * int(overrides.get("a", 2)) + int(overrides.get("b", 2))


def drive(campaign: Campaign, *, spoil: str = "") -> list[dict[str, str]]:
    asked = []
    while (point := campaign.next()) is not None:
        asked.append(dict(point.overrides))
        passed = point.overrides.get("a") != spoil
        campaign.took(point, trial("d0", 0, wall_us=time_of(point.overrides), passed=passed))
    return asked


def test_the_ledger_takes_steps_one_by_one_and_each_back_once(tmp_path: Path) -> None:
    kernel = Pretended(tmp_path)
    said: list[str] = []
    ledger = Ledger(kernel, "tiny", lambda entry, done, total: said.append(f"{done}/{total} {entry.label}"))  # type: ignore[arg-type]

    asked = drive(ledger)
    record = ledger.record("fake", Clock.SIMULATED, "abc", {"fake": "1"})

    assert asked == [{"a": "3"}, {"b": "1"}, {}, {"a": "3"}]
    assert len(said) == 5
    assert record.untuned.wall_us is None
    assert "needs" in record.untuned.disqualified
    first, second = record.steps
    assert (first.so_far.wall_us, first.delta_us) == (32.0, None)
    assert (second.so_far.wall_us, second.delta_us) == (22.0, -10.0)
    assert (first.without.wall_us, first.loss_us) == (21.0, -1.0)
    assert (second.without.wall_us, second.loss_us) == (32.0, 10.0)


def test_the_ledgers_page_and_picture_show_every_step(tmp_path: Path) -> None:
    ledger = Ledger(Pretended(tmp_path), "tiny", lambda entry, done, total: None)  # type: ignore[arg-type]
    drive(ledger)
    record = ledger.record("fake", Clock.SIMULATED, "abc", {"fake": "1"})

    page, picture = markdown(record, "ledger.svg"), plot(record)

    assert "| T | a lowered | 22.00 | -10.00 | 32.00 | +10.00 |" in page
    assert "different yardsticks" in page
    assert picture == plot(record)
    drawn = "".join(ElementTree.fromstring(picture).itertext())
    assert all(word in drawn for word in ("untuned", "22.0", "32.0", "best without it", "simulated µs"))
    assert picture.count("<polygon") == 1 + len(record.steps)


def test_an_interrupted_ledger_says_what_is_missing(tmp_path: Path) -> None:
    ledger = Ledger(Pretended(tmp_path), "tiny", lambda entry, done, total: None)  # type: ignore[arg-type]
    point = ledger.next()
    assert point is not None

    record = ledger.record("fake", Clock.SIMULATED, "abc", {})

    assert record.steps[1].so_far.disqualified == "not measured"
    assert "not measured" in markdown(record)


def search(path: Path, trials: int, measured: list[Measured] | None = None) -> TuningSearch:
    kernel = Pretended(path)
    study = open_study(path / "tune.journal", kernel, "tiny", "fake", "sources")  # type: ignore[arg-type]
    kept = measured if measured is not None else []
    return TuningSearch(kernel, "tiny", study, trials, lambda point, done, total: kept.append(point))  # type: ignore[arg-type]


def test_the_search_starts_from_the_best_known_and_never_repeats_or_breaks_a_guard(tmp_path: Path) -> None:
    found = search(tmp_path, 100)

    asked = drive(found)

    assert asked[0] == {"a": "2", "b": "2"}
    assert sorted((point["a"], point["b"]) for point in asked) == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
        ("3", "2"),
    ]
    best = found.best()
    assert best is not None
    assert (best.wall_us, dict(best.overrides)) == (11.0, {"a": "1", "b": "1"})


def test_wrong_numbers_never_win(tmp_path: Path) -> None:
    found = search(tmp_path, 100)

    drive(found, spoil="1")

    best = found.best()
    assert best is not None
    assert dict(best.overrides) == {"a": "2", "b": "1"}
    assert sum("wrong numbers" in point.disqualified for point in found.measured()) == 2


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = drive(search(tmp_path, 2))
    second = drive(search(tmp_path, 4))

    assert (len(first), len(second)) == (2, 2)
    assert not [point for point in second if point in first]


def test_the_best_known_point_is_asked_for_again_if_it_was_under_way_when_interrupted(tmp_path: Path) -> None:
    interrupted = search(tmp_path, 3).next()
    assert interrupted is not None

    resumed = drive(search(tmp_path, 3))

    assert resumed[0] == dict(interrupted.overrides) == {"a": "2", "b": "2"}
    assert len(resumed) == 3
    assert drive(search(tmp_path, 3)) == []


def test_a_space_without_a_valid_point_is_said_in_one_line(tmp_path: Path) -> None:
    class Hopeless(Pretended):
        def tuning(self, case: str, overrides: Mapping[str, str]) -> Knobs:
            if overrides:
                raise TuningError("nothing fits")
            return super().tuning(case, overrides)

    kernel = Hopeless(tmp_path)
    study = open_study(tmp_path / "tune.journal", kernel, "tiny", "fake", "sources")  # type: ignore[arg-type]
    found = TuningSearch(kernel, "tiny", study, 3, lambda point, done, total: None)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match="holds every guard"):
        found.next()


def test_a_search_without_a_point_that_counts_gives_a_reason(tmp_path: Path) -> None:
    asked = search(tmp_path, trials=1)
    drive(asked, spoil="2")

    assert asked.best() is None
    assert fruitless(asked.measured()).startswith("none of 1 measured points counts; the last one: wrong numbers: ")
    assert "again" in fruitless([])


def test_the_patch_writes_only_what_is_not_default(tmp_path: Path) -> None:
    best = Measured({"a": "1", "b": "3"}, 9.0, "")

    text = patch(Pretended(tmp_path), "tiny", best, "a2a3sim", Clock.SIMULATED)  # type: ignore[arg-type]

    assert "-a = 2\n" in text
    assert "+b = 3\n" in text
    assert "+a" not in text.replace("+++ b", "")


def test_the_patch_applies_from_the_repositorys_root_and_lands_the_gain(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    below = tmp_path / "kernels" / "mine"
    below.mkdir(parents=True)
    kernel = Pretended(below)

    text = patch(kernel, "tiny", Measured({"b": "3"}, 19.0004, ""), "a2a3sim", Clock.SIMULATED)  # type: ignore[arg-type]
    subprocess.run(["git", "-C", str(tmp_path), "apply"], input=text, text=True, check=True)

    assert "b = 3\n" in kernel.tunings().read_text()
    assert load_budget(kernel.budgets(), "a2a3sim", "tiny") == Budget(50.0, 19.001, "a guess")


@pytest.mark.parametrize(("us", "clock"), [(22.0, Clock.SIMULATED), (25.0, Clock.SIMULATED), (19.0, Clock.MEASURED)])
def test_no_budget_changes_without_a_simulated_gain(tmp_path: Path, us: float, clock: Clock) -> None:
    text = patch(Pretended(tmp_path), "tiny", Measured({"b": "3"}, us, ""), "a2a3sim", clock)  # type: ignore[arg-type]

    assert "tunings.toml" in text
    assert "budgets.toml" not in text
