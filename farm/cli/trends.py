"""`farm trends`: how a kernel's times went over its runs, and where they changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm import paths
from farm.analysis.trends import CommitMedian, Trend, by_commit, find_trend, median_of, toolchain_changes, trend_cases
from farm.cli import options
from farm.errors import UsageError
from farm.report.charts.sparkline import bar
from farm.report.console import NamedRows, output_console
from farm.report.run.terminal import verdict_text
from farm.source.kernel_identity import recorded_name
from farm.store.row_mapping import HistoryPoint
from farm.store.run_store import Store
from farm.text import counted, microseconds, one_line, signed_share
from jobs.kernel_process.described import kernel_of
from kernel.clock import wall_time
from kernel.errors import UnknownNameError
from kernel.harness import profiles
from kernel.registry import find_platform

if TYPE_CHECKING:
    from farm.stats.change_points import ChangePoint

_LATEST = 10  # runs of the table; the bars and the changes are of all


@click.command("trends")
@options.kernel_argument
@click.option("--suite", metavar="NAME|FILE.toml", help="In place of a kernel: the targets of this suite.")
@click.option("--case", help="Only this case, or target. Default: every one that was run.")
@options.platform_option
@click.option(  # 500: the search for changes takes time with the square of it
    "--limit", type=click.IntRange(1, 500), default=200, show_default=True, help="How many runs, newest first."
)
@click.option(
    "--by",
    type=click.Choice(["run", "commit"]),
    default="run",
    show_default=True,
    help="What a bar or a line is of: a run, or all runs of a commit, in the order in which commits were first run.",
)
@options.json_option
@click.pass_context
def command(
    context: click.Context,
    kernel: str,
    suite: str | None,
    case: str | None,
    platform: str,
    limit: int,
    by: str,
    as_json: bool,
) -> None:
    """Show how the medians of KERNEL went, run by run or commit by commit, and at which commits they changed.

    On a terminal bars, changes and the latest; into a pipe one a line, fields separated by tabs, times in UTC. JSON has
    both, whatever --by says.
    """
    if suite is not None and context.get_parameter_source("kernel") is ParameterSource.COMMANDLINE:
        raise UsageError(f"--suite {suite} has targets of its own, and {kernel} is a kernel; give one of the two")
    name = recorded_name(kernel)
    if suite is not None:
        profile = profiles.find(suite)
        name, platform = profile.name, options.suite_platform(context, platform, list(profile.platforms))
    with Store.open(paths.store_url()) as store:
        wanted = [case] if case is not None else trend_cases(store, name, platform, limit)
        found = [find_trend(store, name, each, platform, limit) for each in wanted]
    trends = [trend for trend in found if trend is not None]
    if not trends:
        _check(kernel, case, platform) if suite is None else _check_suite(suite, platform)
    if as_json:
        click.echo(json.dumps([_json(trend) for trend in trends], indent=2))
    elif not trends:
        what = f"{suite} {case or ''}".strip() if suite is not None else kernel
        click.echo(f"no finished runs of {one_line(what)} on {one_line(platform)} yet", err=True)
    elif not sys.stdout.isatty():
        for trend in trends:
            lines = _commit_fields(trend) if by == "commit" else [_fields(trend, n) for n in range(len(trend.points))]
            for fields in lines:
                click.echo("\t".join(fields))
    else:
        console = output_console()
        for trend in trends:
            console.print(view(trend, console.width, by == "commit"), highlight=False)


def view(trend: Trend, width: int, commits: bool = False) -> RenderableType:
    """The trend on a terminal of `width` columns, run by run or by `commits`. Names are taken as text, not markup."""
    first, last = trend.points[0].started_at[:10], trend.points[-1].started_at[:10]
    head = Text(f"{one_line(trend.kernel)} {one_line(trend.case)} on {one_line(trend.platform)}", "bold")
    runs = counted(len(trend.points), "run")
    said = Text(f"  {runs}, {one_line(first)} to {one_line(last)}, {trend.clock.value} µs", "dim")
    bars, marks = trend.medians, {change.index: change for change in trend.changes}
    grouped = by_commit(trend)
    if commits:
        said.append(f", {counted(len(grouped), 'commit')}")
        bars = [each.us for each in grouped]
        place = {each.commit: index for index, each in enumerate(grouped)}
        marks = {place[trend.points[change.index].commit]: change for change in trend.changes}
    parts: list[RenderableType] = [head, said, *_bars(bars, marks, max(width - 2, 1)), _levels(trend)]
    parts += [Text(), _changes(trend) if trend.changes else Text("  no change of level", "dim")]
    parts += [Text(), _latest_commits(grouped) if commits else _latest(trend), Text()]
    return Group(*parts)


def _check(kernel: str, case: str | None, platform: str) -> None:
    """Nothing was found: raise `UnknownNameError` where that is because a name is wrong."""
    found = kernel_of(kernel)
    find_platform(platform)
    if case is not None and case not in found.cases:
        raise UnknownNameError("case", case, list(found.cases))


def _check_suite(suite: str, platform: str) -> None:
    """Nothing was found: raise `UnknownNameError` where the suite has no such platform. Its targets are its files."""
    known = profiles.find(suite).platforms
    if platform not in known:
        raise UnknownNameError("platform", platform, sorted(known))


def _bars(medians: Sequence[float], marks: Mapping[int, ChangePoint], width: int) -> list[Text]:
    """Bars from the lowest median to the highest, as many lines as it takes, and below them a mark at each change."""
    low, high = min(medians), max(medians)
    lines = []
    for start in range(0, len(medians), width):
        row, below = Text("  "), Text("  ")
        for index, us in enumerate(medians[start : start + width], start):
            row.append(bar(us, low, high))
            below.append(*_mark(marks.get(index)))
        lines += [row, below] if below.plain.strip() else [row]
    return lines


def _mark(change: ChangePoint | None) -> tuple[str, str]:
    if change is None:
        return " ", ""
    return ("▲", "red") if change.change > 0 else ("▼", "green")


def _levels(trend: Trend) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    medians = trend.medians
    table.add_row(
        "  latest", f"{microseconds(medians[-1])} µs; {microseconds(min(medians))} to {microseconds(max(medians))}"
    )
    table.add_row("  budget", _budget(trend))
    if trend.left_out:
        table.add_row("  left out", f"{counted(trend.left_out, 'run')} that errored")
    return table


def _budget(trend: Trend) -> Text:
    budget = trend.budget
    limits = [(budget.ratchet_us, "best landed"), (budget.ceiling_us, "ceiling")] if budget else []
    known = [(limit_us, name) for limit_us, name in limits if limit_us is not None]
    return _limit(trend, *min(known, key=lambda limit: limit[0])) if known else Text("none", "dim")


def _limit(trend: Trend, limit_us: float, name: str) -> Text:
    """The stricter limit, and what the latest median leaves of it. `WallTime` refuses a budget of the other clock."""
    assert trend.budget is not None
    left = wall_time(limit_us, trend.budget.clock) - wall_time(trend.medians[-1], trend.clock)
    return Text(
        f"{microseconds(limit_us)} µs {name}, latest leaves {signed_share(left / limit_us)}", "red" if left < 0 else ""
    )


def _changes(trend: Trend) -> Table:
    table = _table("  changed at", "run", "before µs", "after µs", "by")
    for change in trend.changes:
        point = trend.points[change.index]
        table.add_row(
            Text(f"{_mark(change)[0]} {_commit(point)}", _mark(change)[1]),
            Text(one_line(point.run_id)),
            microseconds(change.before_us),
            microseconds(change.after_us),
            Text(signed_share(change.change), _mark(change)[1]),
        )
        for tool in toolchain_changes(trend, change):
            table.add_row(Text(f"    toolchain {one_line(tool, 80)}", "dim"), "", "", "", "")
    return table


def _latest(trend: Trend) -> Table:
    table = _table("  commit", "run", "median µs", "± MAD", "samples")
    table.add_column("verdict")
    for point in reversed(trend.points[-_LATEST:]):
        table.add_row(
            Text(f"  {_commit(point)}"),
            Text(one_line(point.run_id)),
            microseconds(point.median.overall),
            microseconds(point.median.mad_us),
            str(len(point.median.samples)),
            verdict_text(point.verdict),
        )
    return table


def _latest_commits(commits: Sequence[CommitMedian]) -> Table:
    table = _table("  commit", "newest run", "runs", "median µs", "lowest", "highest")
    for each in reversed(commits[-_LATEST:]):
        us = [median_of(point) for point in each.points]
        table.add_row(
            Text(f"  {_commit(each.points[-1])}"),
            Text(one_line(each.points[-1].run_id)),
            str(len(us)),
            *map(microseconds, (each.us, min(us), max(us))),
        )
    return table


def _table(left: str, second: str, *numbers: str) -> Table:
    table = NamedRows()
    table.add_column(left, no_wrap=True)
    table.add_column(second, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _commit(point: HistoryPoint) -> str:
    commit = one_line(point.commit)
    return commit[:10] + ("-dirty" if commit.endswith("-dirty") else "") if len(commit) >= 40 else commit


def _fields(trend: Trend, index: int) -> list[str]:
    """One run as plain text without tabs or line breaks; the last field is the size of a change, or `-`."""
    point = trend.points[index]
    change = next((found for found in trend.changes if found.index == index), None)
    fields = [point.started_at, point.run_id, point.verdict.value, trend.kernel, trend.case, trend.platform]
    fields += [point.commit, f"{median_of(point):.2f}", trend.clock.value, f"{change.change:+.4f}" if change else "-"]
    return [one_line(field) or "-" for field in fields]


def _commit_fields(trend: Trend) -> list[list[str]]:
    """A commit a line: first run's start, commit, kernel, case, platform, number of runs, median, clock, change."""
    changes = {trend.points[change.index].commit: f"{change.change:+.4f}" for change in trend.changes}
    lines = []
    for each in by_commit(trend):
        fields = [each.points[0].started_at, each.commit, trend.kernel, trend.case, trend.platform]
        fields += [str(len(each.points)), f"{each.us:.2f}", trend.clock.value, changes.get(each.commit, "-")]
        lines.append([one_line(field) or "-" for field in fields])
    return lines


def _json(trend: Trend) -> dict[str, Any]:
    return {
        "kernel": trend.kernel,
        "case": trend.case,
        "platform": trend.platform,
        "clock": trend.clock.value,
        "budget": trend.budget.model_dump(mode="json") if trend.budget else None,
        "errored_runs_left_out": trend.left_out,
        "points": [
            {
                "run_id": point.run_id,
                "started_at": point.started_at,
                "commit": point.commit,
                "verdict": point.verdict.value,
                "median_us": median_of(point),
                "mad_us": point.median.mad_us,
                "interval_us": point.median.interval_us,
                "samples": len(point.median.samples),
            }
            for point in trend.points
        ],
        "commits": [
            {"commit": each.commit, "run_ids": [point.run_id for point in each.points], "median_us": each.us}
            for each in by_commit(trend)
        ],
        "changes": [
            {
                "run_id": trend.points[change.index].run_id,
                "commit": trend.points[change.index].commit,
                "before_us": change.before_us,
                "after_us": change.after_us,
                "change": change.change,
                "toolchain": toolchain_changes(trend, change),
            }
            for change in trend.changes
        ],
    }
