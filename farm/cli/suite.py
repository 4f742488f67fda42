"""`farm suite` (older name: `farm harness`): the profiles of external suites, and what is wrong with one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farm.cli import options
from farm.cli.first_line import announced
from farm.text import visible

if TYPE_CHECKING:  # profiles cost an import of pydantic models, and `farm --help` needs none of it
    from farm.harness.log_reading import LogReading
    from kernel.harness.profile import Profile
    from kernel.harness.reading import Seen


@click.group()
def command() -> None:
    """Describe external suites: one TOML file each says how it is called and how its output is read."""


@command.command("list")
@options.json_option
def list_profiles(as_json: bool) -> None:
    """List the profiles that are shipped."""
    from kernel.harness import profiles

    found = [profiles.find(name) for name in profiles.names()]
    if as_json:
        rows = [
            {
                "name": each.name,
                "summary": each.summary,
                "platforms": sorted(each.platforms),
                "written_against": each.written_against,
            }
            for each in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for each in found:
        against = f"; written against {each.written_against}" if each.written_against else ""
        click.echo(f"{each.name}  {each.summary} ({', '.join(sorted(each.platforms))}{against})")


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of a profile, for an editor that checks TOML."""
    from kernel.harness.profile import Profile

    click.echo(json.dumps(Profile.model_json_schema(), indent=2))


@command.command("init")
@click.argument(
    "repository", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False, exists=True)
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write. Default: ./NAME.toml.")
@click.option(
    "--style",
    type=click.Choice(["scripts", "pytest", "ascend-c"]),
    help="How its files are run: Python files, pytest, or shell scripts. Default: what most of them are.",
)
@options.json_option
def write_profile(repository: Path, out: Path | None, style: str | None, as_json: bool) -> None:
    """Write a profile for the repository in DIR, by default the current directory, from what its files show.

    Nothing of the repository is run. What its files do not show stands in the profile as a line "# not found: …" that
    says what to write. No file is overwritten.

    \b
    Examples:
      farm suite init ~/operators
      farm suite init ~/operators --style pytest --out mine.toml
    """
    from farm.scaffold import suite
    from farm.scaffold.suite.look import Style
    from kernel.harness import profiles

    written = suite.write(repository, out, Style(style) if style else None)
    targets = _targets(written.profile, repository)
    if as_json:
        content = {
            "path": str(written.path),
            "style": written.style.value,
            "targets": {platform: len(names) for platform, names in targets.items()},
            "not_found": list(written.open),
        }
        click.echo(json.dumps(content, indent=2))
        return
    counts = ", ".join(f"{len(names)} on {platform}" for platform, names in targets.items())
    click.echo(f"wrote {written.path}: {written.style.value}; targets: {counts}")
    for sentence in written.open:
        click.echo(f"not found: {sentence}")
    if written.profile.name in profiles.names():
        click.echo(f"a profile '{written.profile.name}' is included already; see farm suite list")
    click.echo(f"\nNow:\nfarm suite check {written.path} --root {repository}")


@command.command("check")
@click.argument("profile")
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Output of a run, to be read."
)
@click.option("--exit-code", type=int, default=0, show_default=True, help="That of the run whose output --log is.")
@click.option("--file", default="", help="The file whose output --log is, where the profile has rules for some files.")
@click.option("--lines", "with_lines", is_flag=True, help="With --log: show each line that matches, and its rule.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A checkout: list the targets that the profile finds in it, for each platform.",
)
@click.option(
    "--set-up", "sets_up", is_flag=True, help="Run the set-up steps for the checkout, and list what each has made."
)
@options.json_option
@announced("checking the profile {profile}")
def check_profile(
    profile: str,
    log: Path | None,
    exit_code: int,
    file: str,
    with_lines: bool,
    root: Path | None,
    sets_up: bool,
    as_json: bool,
) -> None:
    """Check PROFILE, a name or a .toml file; with --log, show what it reads in a run's output and how it judges it.

    With --set-up, commands of the repository at --root are run as the user you are. A step whose result is in the cache
    of this machine is not run again; one that failed is.

    \b
    Examples:
      python kernel.py -p a2a3sim -d 0 > out.txt 2>&1; farm suite check ./mine.toml --log out.txt --exit-code $?
      farm suite check ./mine.toml --log out.txt --lines
      farm suite check ./mine.toml --root ~/operators
      farm suite check ./mine.toml --root ~/operators --set-up
    """
    from farm.cli.suite_set_up import require_made, set_up, shown
    from farm.errors import UsageError
    from farm.harness.log_reading import for_file
    from farm.harness.profile_check import require_known_kinds
    from kernel.harness import profiles

    found = profiles.find(profile)
    require_known_kinds(found)
    if log is None and (file or with_lines):
        raise UsageError("--file and --lines need --log, the output of a run")
    read = _read(for_file(found, file), log, exit_code) if log is not None else None
    targets = _targets(found, root) if root is not None else {}
    workflows = _workflows(found, root) if root is not None else {}
    if sets_up and root is None:
        raise UsageError("--set-up needs --root, the checkout that is to be set up")
    steps = set_up(found, root.resolve()) if sets_up and root is not None else []
    if as_json:
        content = {
            "profile": found.name,
            "seen": asdict(read[1]) if read is not None else None,
            "outcome": read[0].outcome if read is not None else None,
            "log": read[0].model_dump(exclude={"problem", "profile", "outcome"}) if read is not None else None,
            "targets": targets,
            "workflows": workflows,
            "setup": [step.as_dict() for step in steps],
        }
        click.echo(json.dumps(content, indent=2))
        require_made(steps)
        return
    click.echo(f"profile {found.name}: good")
    if read is not None:
        _show(read[0], with_lines)
    for platform, names in targets.items():
        click.echo(f"{platform}: {len(names)} targets")
        for name in names:
            click.echo(f"  {name}")
    for workflow, by_platform in workflows.items():
        for platform, names in by_platform.items():
            click.echo(f"{workflow} on {platform}: {len(names)} targets")
    for line in shown(steps):
        click.echo(line)
    require_made(steps)


def _read(found: Profile, log: Path, exit_code: int) -> tuple[LogReading, Seen]:
    from farm.harness.log_reading import LogReader

    reader = LogReader(found)
    with log.open("rb") as file:
        reading = reader.read(iter(lambda: file.readline(1 << 16), b""), exit_code)
    return reading, reader.seen


def _targets(found: Profile, root: Path, workflow: str = "") -> dict[str, list[str]]:
    """The targets by platform, all of them or those of a task or workflow."""
    from farm.errors import UsageError
    from farm.harness import file_selection, workflows

    targets: dict[str, list[str]] = {}
    for platform in sorted(found.platforms):
        try:
            here = file_selection.discover(root.resolve(), (), found, platform)
            targets[platform] = list((workflows.narrowed(here, found, workflow) if workflow else here).files)
        except UsageError:  # none on this platform
            targets[platform] = []
    return targets


def _workflows(found: Profile, root: Path) -> dict[str, dict[str, list[str]]]:
    names = [*(each.name for each in found.task), *(each.name for each in found.workflow)]
    return {name: _targets(found, root, name) for name in names}


def _show(reading: LogReading, with_lines: bool) -> None:
    click.echo(f"this run: {reading.outcome}")
    for fact in reading.facts:
        click.echo(fact)
    if not with_lines:
        return
    click.echo(f"{reading.matched} of {reading.total} lines match a rule")
    for line in reading.lines:
        click.echo(f"{line.number:>7}  [{'; '.join(line.rules)}] {visible(line.text)}")
    if reading.matched > len(reading.lines):
        click.echo(f"         and {reading.matched - len(reading.lines)} more")
    if unused := [rule for rule, count in reading.rules.items() if not count]:
        click.echo(f"no line matches: {', '.join(unused)}")
