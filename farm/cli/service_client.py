"""A commit handed to a service over its API, and followed there to its verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from farm.errors import FarmError, InfrastructureError, UsageError
from farm.model.run import RunRecord, Verdict
from farm.text import one_line

_TIMEOUT_S = 30.0
_PATIENCE_S = 300.0  # how long a service may be away while a job is followed; it may be starting anew
_RETRY_S = 2.0
_OVER = ("done", "cancelled")


class ServerError(InfrastructureError):
    """The service does not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A commit for a service to validate."""

    repository: str  # "owner/name", as the service's farm.toml has it
    forge: str
    commit: str  # whole hash
    base: str  # the same; "" for none
    devices: int | None  # None: as configured there
    cases: list[str]  # empty: the same
    targets: list[str]  # names of kernels and suites; empty: those that the commit touches


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """What the service says of a job."""

    id: str
    state: str
    verdict: Verdict | None
    reason: str
    run_id: str  # the newest
    targets: tuple[str, ...] = ()  # a line for each: its name, verdict, reason and run

    @property
    def over(self) -> bool:
        """Return whether it has ended."""
        return self.state in _OVER


class ServiceAddress:
    """One service. A context that closes its connections."""

    def __init__(self, url: str, token: str) -> None:
        """Connect to the service. Raises `UsageError` for an invalid URL."""
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError(f"--server {url} is no address of a service; write https://HOST[:PORT]")
        headers = {"Authorization": f"Bearer {token}"}
        self._name = str(parsed.copy_with(username=None, password=None))
        self._client = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", headers=headers, timeout=_TIMEOUT_S)

    def __enter__(self) -> ServiceAddress:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def submit(self, asked: Submitted) -> RemoteJob:
        """Queue it. Raises `UsageError` where the service refuses, `ServerError` where it does not answer."""
        body: dict[str, Any] = {
            "forge": asked.forge,
            "repository": asked.repository,
            "commit": asked.commit,
            "cases": asked.cases,
            "targets": asked.targets,
        }
        body |= {"base": asked.base or None, "devices": asked.devices}
        return _job(self._call("POST", "/jobs", body).json())

    def job(self, job_id: str) -> RemoteJob:
        """How far it is."""
        return _job(self._call("GET", f"/jobs/{job_id}").json())

    def cancel(self, job_id: str) -> None:
        """Stop it."""
        self._call("POST", f"/jobs/{job_id}/cancel")

    def run(self, run_id: str) -> RunRecord | None:
        """The record of a run, None where it never began."""
        answer = self._answer("GET", f"/runs/{run_id}", None)
        if answer.status_code == 404:
            return None
        return RunRecord.model_validate_json(_taken(self._name, answer).content, extra="ignore")

    def follow(self, job_id: str, say: Callable[[str], None]) -> RemoteJob:
        """Wait until the job is over; `say` gets each line of its log, and each word on what it waits for."""
        at, told = 0, ""
        away_since: float | None = None
        while True:
            try:
                job = self.job(job_id)
                if job.over:
                    for line in self._lines(job_id, at):
                        say(line.decode(errors="replace").rstrip())
                    return job
                word = f"{job.state}{f': {job.reason}' if job.reason else ''}"
                if word != told:
                    say(f"job {job_id} {word}")
                    told = word
                for line in self._lines(job_id, at):
                    if line.endswith(b"\n"):  # the rest of a line that is being written comes with the next look
                        at += len(line)
                        say(line.decode(errors="replace").rstrip())
                away_since = None
            except ServerError as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > _PATIENCE_S:
                    raise
                if told != str(error):
                    say(f"{error}; waiting")
                    told = str(error)
            time.sleep(_RETRY_S)

    def _lines(self, job_id: str, at: int) -> Iterator[bytes]:
        """What the log has from byte `at` on, a line at a time."""
        yield from self._call("GET", f"/jobs/{job_id}/log?start={at}").content.splitlines(keepends=True)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return _taken(self._name, self._answer(method, path, body))

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ServerError(f"{self._name} does not answer: {type(error).__name__}") from error


def _taken(name: str, answer: httpx.Response) -> httpx.Response:
    """`answer`, where it is what was asked for."""
    if answer.is_success:
        return answer
    raise _refusal(answer.status_code, f"{name}: {_detail(answer)}")


def _refusal(status: int, problem: str) -> FarmError:
    if status >= 500 or status == 429:
        return ServerError(problem)
    return UsageError(f"{problem} (HTTP {status})")


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}, and no word why; is this the farm's service?"
    return " ".join(str(detail).split())[:500]


def _job(answer: dict[str, Any]) -> RemoteJob:
    verdict = Verdict(answer["verdict"]) if answer.get("verdict") else None
    targets = tuple(_target(each) for each in answer.get("targets", ()))
    return RemoteJob(answer["id"], answer["state"], verdict, answer["reason"], answer["run_id"], targets)


def _target(answer: dict[str, Any]) -> str:
    run = f" (run {answer['run_id']})" if answer["run_id"] else ""
    return one_line(f"target {answer['name']} {answer['verdict'] or answer['state']}: {answer['reason']}{run}")
