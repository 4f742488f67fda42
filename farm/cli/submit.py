"""`farm run --server`: the same question, answered by a service's devices."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from farm.cli.exit_codes import of_verdict
from farm.cli.termination_signal import raise_interrupt
from farm.errors import UsageError
from farm.source import git_environment

if TYPE_CHECKING:
    from farm.cli.service_client import RemoteJob, ServiceAddress, Submitted

TOKEN = "FARM_TOKEN"

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
# What may be asked of a service; all else its farm.toml says, and an option that changes nothing would mislead.
_OF_THE_SERVICE = ("server", "repository", "forge", "token_file", "targets")
_UNDERSTOOD = (*_OF_THE_SERVICE, "commit", "base", "devices", "cases", "as_json")


@dataclass(frozen=True, slots=True)
class Service:
    """Which service is asked, and in whose name."""

    url: str
    repository: str
    forge: str
    token_file: Path | None
    targets: tuple[str, ...]  # of the repository, by their names in the service's farm.toml; empty: those it touches


def served(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--server --repository --forge --target --token-file`: with the first, the command is answered by a service."""

    @functools.wraps(command)
    def either(**values: Any) -> Any:
        url, repository = values.pop("server"), values.pop("repository")
        forge, token_file, targets = values.pop("forge"), values.pop("token_file"), values.pop("targets")
        service = Service(url or "", repository or "", forge, token_file, targets)
        if url is None:
            if repository is not None or token_file is not None or targets:
                raise UsageError(
                    "--repository, --target and --token-file are for --server URL; name a service, or leave them out"
                )
            return command(**values)
        return _carry_out(click.get_current_context(), service, values)

    decorators = (
        click.option("--server", metavar="URL", help="Have a service run it and follow; its token is in $FARM_TOKEN."),
        click.option("--repository", metavar="OWNER/NAME", help="With --server: as the service's farm.toml has it."),
        click.option("--forge", default="github", show_default=True, help="With --server: that repository's forge."),
        click.option(
            "--target",
            "targets",
            metavar="NAME",
            multiple=True,
            help="With --server: kernel or suite of the repository; repeat for more. Default: what the commit touches.",
        ),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="With --server: where the token is.",
        ),
    )
    decorated: Callable[..., Any] = either
    for decorate in reversed(decorators):
        decorated = decorate(decorated)
    return decorated


def _carry_out(context: click.Context, service: Service, values: dict[str, Any]) -> NoReturn:
    """Submit, follow, print what the service says, and end the process with the verdict's exit code."""
    from farm.cli.service_client import ServiceAddress

    asked = _submitted(context, service, values)
    with ServiceAddress(service.url, _token(service.token_file)) as server:
        job = server.submit(asked)
        click.echo(f"job {job.id} for {asked.commit[:12]} of {asked.repository}", err=True)
        with _cancelling(server, job):
            job = server.follow(job.id, lambda line: click.echo(line, err=True))
        _show(server, job, values["as_json"])
    sys.exit(of_verdict(job.verdict))


def _submitted(context: click.Context, service: Service, values: dict[str, Any]) -> Submitted:
    """What is asked for; names of commits are looked up in the git repository around. Raises `UsageError`."""
    from farm.cli.service_client import Submitted

    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    misplaced = sorted(given - set(_UNDERSTOOD))
    if misplaced:
        raise UsageError(f"with --server the service's farm.toml says '{misplaced[0]}'; leave it out")
    if not _REPOSITORY.fullmatch(service.repository):
        raise UsageError("--server needs --repository OWNER/NAME, as the service's farm.toml has it")
    head, base = _whole(values.get("commit") or "HEAD"), values.get("base")
    devices = values["devices"] if "devices" in given else None
    return Submitted(
        repository=service.repository,
        forge=service.forge,
        commit=head,
        base=_whole(base) if base else "",
        devices=devices,
        cases=list(values["cases"]),
        targets=list(service.targets),
    )


def _whole(name: str) -> str:
    """The whole hash of a commit."""
    if _SHA.fullmatch(name):
        return name
    words = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=30, env=git_environment.clean()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"git cannot say which commit '{name}' is; give the whole hash") from error
    if done.returncode:
        raise UsageError(f"there is no commit '{name}' here; give one that there is, or the whole hash")
    return done.stdout.strip()


def _token(file: Path | None) -> str:
    token = file.read_text().strip() if file else os.environ.get(TOKEN, "")
    if not token or not token.isascii() or not token.isprintable():
        place = f"the file {file}" if file else f"${TOKEN}"
        raise UsageError(f"{place} holds no token; `farm token create NAME --scope read --scope submit` makes one")
    return token


@contextmanager
def _cancelling(server: ServiceAddress, job: RemoteJob) -> Iterator[None]:
    """Who stops waiting stops the job."""
    before = signal.signal(signal.SIGTERM, raise_interrupt)
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"farm: cancelling job {job.id}", err=True)
        server.cancel(job.id)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(server: ServiceAddress, job: RemoteJob, as_json: bool) -> None:
    record = server.run(job.run_id) if job.verdict is not None and job.run_id else None
    if as_json:
        click.echo(record.model_dump_json(indent=2) if record else "null")
    elif record is not None:
        from farm.report.console import output_console
        from farm.report.run.terminal import summary

        output_console().print(summary(record))
    for line in job.targets if len(job.targets) > 1 else ():
        click.echo(line, err=True)
    click.echo(f"job {job.id} {job.verdict.value if job.verdict else job.state}: {job.reason}", err=True)
