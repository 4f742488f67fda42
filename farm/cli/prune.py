"""`farm prune`: remove old files of runs, caches and Ray sessions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farm import paths
from farm.cli import options
from farm.cli.first_line import announced
from farm.errors import UsageError
from farm.text import counted, one_line

if TYPE_CHECKING:
    from farm.report.housekeeping.run_files import RunFiles

_AGE = re.compile(r"(\d+(?:\.\d+)?)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(KB|MB|GB|TB)", re.IGNORECASE)
_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_KINDS = ("runs", "cache", "ray")


@click.command()
@click.option("--older-than", metavar="AGE", help="What is older goes, and cached builds unused for so long: 30d.")
@click.option("--traces-older-than", metavar="AGE", help="Timelines of older runs go; `farm report` makes them again.")
@click.option("--max-size", metavar="SIZE", help="The oldest runs go until all together are at most this large: 50GB.")
@click.option("--max-count", type=click.IntRange(min=0), help="The oldest runs go until there are at most so many.")
@click.option("--keep", type=click.IntRange(min=1), default=1, show_default=True, help="Newest passes that stay.")
@click.option("--only", type=click.Choice(_KINDS), multiple=True, help="Look at these alone; repeat. Default: all.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option(
    "--out",
    "outs",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where runs, sweeps and bisects are; repeat.  [default: farm-runs]",
)
@options.json_option
@announced("looking for what is old enough to be removed")
def command(
    older_than: str | None,
    traces_older_than: str | None,
    max_size: str | None,
    max_count: int | None,
    keep: int,
    only: tuple[str, ...],
    dry_run: bool,
    outs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Remove old files: directories of runs, sweeps and bisects, cached builds, sessions of Ray that ended.

    The store is not touched, so trends, baselines and `farm report` keep every number. These always stay: what is under
    way, what is not in the store yet, and the newest passes (--keep) of each kernel and platform.

    \b
    Examples:
      farm prune --older-than 30d --dry-run
      farm prune --older-than 2w --max-size 50GB --out /var/lib/npu-farm/runs
      farm prune --older-than 7d --only cache
    """
    from farm.report.housekeeping import run_files
    from farm.report.housekeeping.run_files import PruneRules
    from farm.timestamps import utc_now

    if (older_than, traces_older_than, max_size, max_count) == (None,) * 4:
        raise UsageError(
            "name what may go: --older-than 30d, --traces-older-than 7d, --max-size 50GB or --max-count 500"
        )
    age = None if older_than is None else _age("--older-than", older_than)
    of_traces = None if traces_older_than is None else _age("--traces-older-than", traces_older_than)
    rules = PruneRules(age, None if max_size is None else _size(max_size), max_count, keep)
    kinds = only or _KINDS
    where = outs or (Path("farm-runs"),)
    gone: list[dict[str, object]] = []
    stay: list[dict[str, object]] = []
    if "runs" in kinds:
        now = utc_now()
        found = _found(where, now)
        plan = run_files.plan(found, rules, now)
        stay = [{"path": str(each.directory), "bytes": each.size, "why": each.stays} for each in plan.stay]
        gone += _removed("run", ((each.directory, each.size) for each in plan.go), dry_run)
        if of_traces is not None:
            left = [each for each in found if each not in plan.go]
            gone += _removed("traces", run_files.traces(left, of_traces, now), dry_run)
    if "cache" in kinds and age is not None:
        from farm.report.housekeeping.removal import unused

        gone += _removed("cache", unused(paths.cache(), age / timedelta(days=1)), dry_run)
    if "ray" in kinds:
        from farm.report.housekeeping.removal import abandoned_sessions

        gone += _removed("ray", abandoned_sessions(), dry_run)
    _say(gone, stay, dry_run, as_json)


def _found(where: tuple[Path, ...], now: datetime) -> list[RunFiles]:
    from farm.report.housekeeping import removal, run_files
    from farm.store.run_store import Store

    for out in where:
        removal.finish(out)
    with Store.open(paths.store_url()) as store:
        return run_files.survey(where, store, now)


def _removed(kind: str, found: Iterator[tuple[Path, int]], dry_run: bool) -> list[dict[str, object]]:
    from farm.report.housekeeping.removal import remove

    gone: list[dict[str, object]] = []
    for path, size in found:
        if not dry_run:
            remove(path)
        gone.append({"kind": kind, "path": str(path), "bytes": size})
    return gone


def _say(gone: list[dict[str, object]], stay: list[dict[str, object]], dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "removed": gone, "kept": stay}, indent=2))
        return
    verb = "would remove" if dry_run else "removed"
    for each in gone:
        click.echo(f"{verb} {one_line(str(each['path']))} ({_shown(each['bytes'])})")
    for each in stay:
        click.echo(f"kept {one_line(str(each['path']))}: {one_line(str(each['why']))}")
    total = sum(int(str(each["bytes"])) for each in gone)
    click.echo(f"{verb} {counted(len(gone), 'item')}, {_shown(total)}")


def _shown(size: object) -> str:
    amount = float(str(size))
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _age(option: str, text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"{option} '{text}' is no age; write hours, days or weeks above 0, such as 12h, 30d or 8w")
    return timedelta(hours=float(match[1]) * _HOURS[match[2]])


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--max-size '{text}' is no size; write a number with KB, MB, GB or TB, such as 50GB")
    return int(float(match[1]) * _BYTES[match[2].upper()])
