"""`farm run --harness`: the files of an external harness's repository, on all leased devices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.cli.run_output import shown
from farm.errors import UsageError
from farm.source import git_environment
from farm.text import counted

if TYPE_CHECKING:
    from farm.model.priority import Priority
    from farm.model.selection import Selection
    from farm.model.timeouts import Timeouts
    from farm.source.suite_commits import SuiteCommits


class OrHarness(click.Command):
    """A command that is another one where `--suite` is among its arguments: they share a name and no options."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of whichever command the arguments are for."""
        ours = args[: args.index("--")] if "--" in args else args
        if any(each.partition("=")[0] in ("--suite", "--harness") for each in ours):
            return command.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option(
    "--suite",
    "--harness",
    "harness",
    required=True,
    metavar="NAME|FILE.toml",
    help="Profile of the suite; `farm suite list`. --harness is its older name.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="The repository. Default: that of the current directory.",
)
@click.option(
    "--changed-since", metavar="REF", help="Only files that are, or import, what differs from REF's merge base."
)
@click.option("--workflow", metavar="NAME", help="Only targets of that task or workflow of the profile.")
@click.option("--devices", "-n", type=int, default=3, show_default=True, help="Distinct devices, held at once.")
@click.option("--repeats", "-r", type=int, default=1, show_default=True, help="Trials of each file on each witness.")
@click.option(
    "--witnesses",
    "-w",
    type=int,
    default=0,
    help="Devices of different cards that each make a file's repeats. Default: whichever device is free makes them.",
)
@options.platform_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the inputs, where the harness takes one.")
@options.source_options
@click.option("--changed-only", is_flag=True, help="With --base: only files that the commits' differences concern.")
@options.out_option
@options.run_id_option
@options.cluster_options
@options.limit_options
@options.placement_options
@options.json_option
@click.pass_context
@announced("validating the suite {harness}")
def command(
    context: click.Context,
    patterns: tuple[str, ...],
    harness: str,
    root: Path | None,
    changed_since: str | None,
    workflow: str | None,
    devices: int,
    repeats: int,
    platform: str,
    seed: int,
    witnesses: int,
    source: Path | None,
    commit: str | None,
    base: str | None,
    require_sandbox: bool,
    changed_only: bool,
    out: Path,
    run_id: str,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    priority: Priority,
    selection: Selection,
    as_json: bool,
) -> None:
    """Run the files of an external harness's repository that match PATTERN, on all leased devices at once.

    Whichever device is free takes the next file; one marked for several devices gets them together. Each runs in a
    private directory, as its profile says, and passes only with exit code 0 and a pass line. PATTERN is a glob below
    the repository's root, quoted; without one the profile's own are taken. Writes report.json, junit.xml, report.md,
    traces/ and logs/ into DIR/RUN/.

    With --source the files are a commit's, and each runs confined: no network, its repository read-only. With --base
    the merge base is measured in turn with it on the same devices.

    \b
    Examples:
      farm run --suite pypto-lib 'models/**/*.py'
      farm run --suite pypto-lib --changed-since origin/main --json
      farm run --suite pypto-lib --source . --commit my-branch --base main --changed-only -n 3 -w 3 -r 3
      farm run --suite ./mine.toml --workflow accuracy
      farm run --suite ./mine.toml --platform a2a3 --devices 8 --address head:6379
    """
    from farm import paths
    from farm.execution.session import SessionOptions
    from farm.harness import changed_files, file_selection, workflows
    from farm.harness.profile_check import check
    from farm.model.run import RunRequest
    from farm.validation.suite import run
    from farm.validation.suite_state import SuiteRequest
    from kernel.harness import profiles

    how = SessionOptions(out=out, address=address, wait_s=wait_s, timeouts=timeouts, run_id=run_id)
    profile = profiles.find(harness)
    platform = options.suite_platform(context, platform, list(profile.platforms))
    check(profile, platform, timeouts.trial_s)
    if changed_only and base is None:
        raise UsageError("--changed-only compares a commit with its merge base; name them with --source and --base")
    if (source is not None or base is not None) and (root is not None or changed_since is not None):
        given = "--root" if root is not None else "--changed-since"
        raise UsageError(f"{given} is for files as they are, and --source for a commit's; with that use --changed-only")
    commits = _commits(source, commit, base, require_sandbox=require_sandbox)
    where = repository(root) if commits is None else commits.head.unpack(paths.cache())
    found = file_selection.discover(where, patterns, profile, platform)
    if workflow is not None:
        found = workflows.narrowed(found, profile, workflow)
    of = f" of {workflow}" if workflow is not None else ""
    selected = f"all {counted(len(found.files) + len(found.skipped), 'file')}{of} that match and can be run"
    since = changed_since or (base if changed_only else None)
    if since is not None:
        everything = [*found.files, *found.skipped]
        changes = commits.changed if commits is not None else changed_files.changed(where, since)
        chosen, selected = changed_files.touched(everything, changes, where, profile)
        found = found.only(chosen)
        if not found.files:
            skipped = f"; {len(found.skipped)} of them are not for {platform}" if found.skipped else ""
            click.echo(f"nothing to run since {since}: {selected}{skipped}", err=as_json)
            sys.exit(ExitCode.PASSED)
    if not found.files:
        file, why = next(iter(found.skipped.items()))
        raise UsageError(f"none of {len(found.skipped)} files is for {platform}; {file} is {why}")
    request = RunRequest(
        kernel=profile.name,
        cases=list(found.files),
        platform=platform,
        devices=devices,
        repeats=repeats,
        input_set="own",
        seed=seed,
        priority=priority,
        selection=selection,
        witnesses=witnesses,
        source=None if commits is None else commits.request,
    )
    named = str(Path(harness).resolve()) if profiles.is_path(harness) else harness
    asked = SuiteRequest(profile, named, where, found, selected, request, commits)
    shown(lambda observer: run(asked, how, observer), as_json)


def _commits(
    source: Path | None, commit: str | None, base: str | None, *, require_sandbox: bool
) -> SuiteCommits | None:
    """The commits that the options name; None for files as they are. Raises `UsageError`."""
    from farm.source import suite_commits
    from farm.source.programs import has_changes

    if source is None and base is None:
        given = [name for name, value in (("--commit", commit), ("--require-sandbox", require_sandbox)) if value]
        if given:
            raise UsageError(f"{given[0]} is for files from a git repository; name one with --source GITDIR")
        return None
    where = source or Path()
    request = suite_commits.requested(where, commit or "HEAD", base, require_sandbox=require_sandbox)
    if commit is None and has_changes(where):
        click.echo(f"farm: {where} has changes that are not committed; they are not measured", err=True)
    return suite_commits.read(request)


def repository(root: Path | None) -> Path:
    """The repository: what was named, or the one the current directory is in, or that directory itself."""
    if root is not None:
        if not root.is_dir():
            raise UsageError(f"--root {root} is no directory; name the repository's top directory")
        return root.resolve()
    words = ["git", "rev-parse", "--show-toplevel"]
    asked = subprocess.run(words, capture_output=True, text=True, env=git_environment.clean())
    return Path(asked.stdout.strip() or ".").resolve()
