"""`farm harness`: the harness profiles there are, and what is wrong with one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from farm.cli import options


@click.group()
def command() -> None:
    """Describe external harnesses: one TOML file each tells how it is called and how its output is read."""


@command.command("list")
@options.json_option
def list_profiles(as_json: bool) -> None:
    """List the profiles that are shipped."""
    from kernel.harness import profiles

    found = [profiles.find(name) for name in profiles.names()]
    if as_json:
        told = [{"name": each.name, "summary": each.summary, "platforms": sorted(each.platforms)} for each in found]
        click.echo(json.dumps(told, indent=2))
        return
    for each in found:
        click.echo(f"{each.name}  {each.summary} ({', '.join(sorted(each.platforms))})")


@command.command("check")
@click.argument("profile")
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Output of a run, to be read."
)
@options.json_option
def check_profile(profile: str, log: Path | None, as_json: bool) -> None:
    """Check PROFILE, a name or a .toml file; with --log, show what it reads in a run's output.

    \b
    Example:
      python kernel.py -p a2a3sim -d 0 > out.txt 2>&1; farm harness check ./mine.toml --log out.txt
    """
    from farm.harness.workflow import require_known_kinds
    from kernel.harness import profiles
    from kernel.harness.reading import Reader

    found = profiles.find(profile)
    require_known_kinds(found)
    reader = Reader(found)
    if log is not None:
        with log.open("rb") as file:
            while data := file.read(1 << 18):
                reader.feed(data)
    seen = reader.close()
    if as_json:
        click.echo(json.dumps({"profile": found.name, "seen": asdict(seen) if log is not None else None}, indent=2))
        return
    click.echo(f"profile {found.name}: good")
    if log is None:
        return
    click.echo(f"pass lines: {seen.passes}" + (f"; compared nothing: {seen.unvalidated}" if seen.unvalidated else ""))
    for name, claim in seen.claims.items():
        click.echo(f"output {name}: {'PASS' if claim.passed else 'FAIL'} {claim.shape} {claim.dtype}".rstrip())
    for mode, time in seen.times.items():
        click.echo(f"time of mode {mode}: median {time.median_us:g} µs of {time.rounds} rounds")
    for number, line in sorted(seen.signs.items()):
        click.echo(f"signature {number} ({found.signatures[number].kind}): {line}")
