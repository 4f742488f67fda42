"""Mutation testing of what judges: python -m tools.mutation --since COMMIT --minutes N

Exit code 0: every mutant that was tried was noticed by a test, or is listed in tests/mutation_survivors.toml with a
reason. 1: one was not, or an entry of that file is not true any more. 2: a wrong option or file. 3: mutmut failed, as
where a test fails without any mutant. What the time did not reach, be it every mutant, changes none of these; it is
printed, and does not count as noticed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from tools.mutation import survivors
from tools.mutation.mutants import Mutant, Outcome, made, read
from tools.mutation.scratch import EngineError, Project, copied, try_mutants
from tools.mutation.subjects import SUBJECTS, Choice, UnknownCommitError, changed_since, every, judges

ROOT = Path(__file__).resolve().parents[2]
LIST = "tests/mutation_survivors.toml"
FARM = Project(ROOT, folders=("kernel", "jobs", "farm", "ci", "tools", "benchmarks"), plugins=("pytest_timeout",))


@dataclass(frozen=True, slots=True)
class Report:
    """What the mutants say of the tests."""

    chosen: str  # why these modules
    modules: tuple[str, ...]
    begun: int  # how many of them: the time may end before the mutants of the others are made
    counts: Mapping[str, int]  # outcome → mutants
    unlisted: tuple[Mutant, ...]
    untrue: tuple[tuple[survivors.Listed, str], ...]  # entries of the list, each with why

    @property
    def passed(self) -> bool:
        """Whether each mutant that was tried was noticed or is listed, and the list is true."""
        return not self.unlisted and not self.untrue


def examine(
    project: Project, subjects: Mapping[str, tuple[str, ...]], choice: Choice, *, seconds: float, processes: int = 1
) -> Report:
    """Try the mutants of the chosen modules for at most `seconds`.

    Raises `SurvivorsFileError`, and `EngineError` where no mutant could be tried.
    """
    listed = survivors.load(project.root / LIST)
    mutants: list[Mutant] = []
    begun: list[str] = []
    if choice.modules:
        with copied(project) as scratch:
            tests = judges(choice.modules, subjects)
            try_mutants(scratch, project, choice.modules, tests, seconds=seconds, processes=processes)
            begun = [module for module in choice.modules if made(scratch, module)]
            mutants = [mutant for module in begun for mutant in read(scratch, module)]
    untrue = survivors.misplaced(listed, project.root)
    gone = {each.key for each, _ in untrue}
    untrue += [(each, why) for each, why in survivors.stale(mutants, listed, begun) if each.key not in gone]
    counts = Counter(mutant.outcome.value for mutant in mutants)
    unlisted = survivors.unlisted(mutants, listed)
    return Report(choice.why, choice.modules, len(begun), counts, tuple(unlisted), tuple(untrue))


def text(report: Report) -> str:
    """Return the report for people: one line for each mutant that survived, then the counts."""
    lines = []
    for each in report.unlisted:
        untested = ", which no test runs" if each.outcome is Outcome.UNTESTED else ""
        before, after = (" ⏎ ".join(code.splitlines()) for code in (each.before, each.after))
        lines.append(f"{each.module}:{each.line}: in {each.function}{untested}: - {before} + {after}")
    lines += [f"{LIST}: {each.module}, {each.function}: {why}: {each.line}" for each, why in report.untrue]
    lines.append(f"mutation: {_summary(report)}")
    return "\n".join(lines)


def _summary(report: Report) -> str:
    counts = Counter(report.counts)
    died = [f"{counts[each.value]} {each.value}" for each in (Outcome.TIMED_OUT, Outcome.CRASHED) if counts[each.value]]
    noticed = sum(counts[each.value] for each in (Outcome.KILLED, Outcome.TIMED_OUT, Outcome.CRASHED))
    missed = sum(counts[each.value] for each in (Outcome.SURVIVED, Outcome.UNTESTED))
    summary = f"{len(report.modules)} modules ({report.chosen}): {sum(counts.values())} mutants, {noticed} noticed"
    summary += f" ({', '.join(died)} among them)" if died else ""
    summary += f", {missed} survived ({missed - len(report.unlisted)} of them listed)"
    if left := counts[Outcome.NOT_REACHED.value]:
        summary += f"; {left} were not reached in the time, and nothing is known of them"
    if unmade := len(report.modules) - report.begun:
        summary += f"; of {unmade} modules no mutant was made in the time"
    return summary


def as_json(report: Report) -> str:
    """Return the report for programs."""
    return json.dumps(
        {
            "passed": report.passed,
            "chosen": report.chosen,
            "modules": list(report.modules),
            "modules_without_mutants_in_the_time": len(report.modules) - report.begun,
            "counts": {each.value: report.counts.get(each.value, 0) for each in Outcome},
            "survivors": [asdict(each) | {"outcome": each.outcome.value} for each in report.unlisted],
            "untrue_entries": [asdict(each) | {"why": why} for each, why in report.untrue],
        },
        indent=2,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; see the module for the exit codes."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)  # the scratch copy goes as with Ctrl-C
    try:
        report = examine(FARM, SUBJECTS, _choice(options), seconds=60 * options.minutes, processes=options.processes)
    except survivors.SurvivorsFileError as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 2
    except EngineError as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("mutation: interrupted; nothing is left behind, and nothing is known", file=sys.stderr)
        return 130
    print(as_json(report) if options.json else text(report))
    return 0 if report.passed else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description="Mutation testing of what judges.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--since", metavar="COMMIT", help="the modules that changed since COMMIT, or whose tests did")
    which.add_argument("--all", action="store_true", help="every module")
    which.add_argument("--module", action="append", choices=sorted(SUBJECTS), help="this module; more than once")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long it may take (default: 60)")
    parser.add_argument("--processes", type=int, default=1, help="mutants tried at once (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    if not (0 < options.minutes < 24 * 60 and options.processes > 0):
        parser.error(f"--minutes {options.minutes:g} --processes {options.processes}: both must be above 0")
    return options


def _choice(options: argparse.Namespace) -> Choice:
    if options.module:
        return Choice(tuple(options.module), "named")
    if options.all:
        return every(SUBJECTS)
    try:
        return changed_since(ROOT, options.since, SUBJECTS)
    except UnknownCommitError as error:
        print(f"mutation: {error}; every module counts as changed", file=sys.stderr)
        return every(SUBJECTS)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
