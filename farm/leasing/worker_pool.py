"""The processes of a lease: one a slot, started on the slot's device, asked once whether it is ready, killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from farm.cluster import head_call
from farm.errors import InfrastructureError
from farm.leasing.allocation import DeviceAllocation
from farm.leasing.device_jobs import Ready
from farm.leasing.device_lease import PlatformFactory, WorkerLostError
from farm.leasing.stage_board import StageBoard
from farm.leasing.worker import DeviceWorker
from farm.process import installation, start_limit
from farm.process.start_limit import HostOverloadedError
from farm.text import one_line
from jobs.records import TrialRequest
from jobs.sandbox.spec import Confinement

_FETCH_S = 60.0  # for a record that is ready; one on a node that is stopped never comes


class Workers:
    """Ray actors by slot."""

    def __init__(
        self,
        platform: PlatformFactory,
        cache: str,
        environment: Mapping[str, str],
        kind: type[DeviceWorker] = DeviceWorker,
        confinement: Confinement | None = None,
        ahead: Sequence[TrialRequest] = (),
    ) -> None:
        """`environment` is added to that of every worker, each of which is a `kind`.

        `confinement` has the programs that are not installed. The first worker of each node builds what `ahead` asks
        for right after its canary, while other workers still start: their trials find it built.
        """
        self._kind = kind
        self._confinement = ray.put(confinement)  # once, however many workers there are
        self._platform = platform
        self._cache = cache
        self._environment = dict(environment)
        self._ahead = ahead
        self._building: set[str] = set()  # Ray's ids of the nodes on which a worker was asked to build ahead
        self._actors: dict[int, Any] = {}
        self._answers: dict[int, Any] = {}  # slot → reference to what its worker says of its device
        self._closed = False
        board = ray.remote(StageBoard).options(num_cpus=0)
        self._board = head_call.bounded("start the stage board", board.remote)

    @property
    def slots(self) -> list[int]:
        """Slots that have a worker."""
        return sorted(self._actors)

    def actor(self, slot: int) -> Any:
        """The worker of `slot`."""
        return self._actors[slot]

    def start(self, slot: int, place: DeviceAllocation, kind: type[DeviceWorker] | None = None) -> None:
        """Begin to start a worker for `slot` on the device at `place`; `ready` waits for it.

        It is a `kind` where that is given, in place of the kind of all others. Raises `InfrastructureError` after
        `release`, or where the head does not answer.
        """
        worker = ray.remote(kind or self._kind).options(
            num_cpus=0,
            resources={"NPU": 1},
            max_restarts=0,
            scheduling_strategy=place.strategy,
            runtime_env={"env_vars": self._environment} if self._environment else None,
        )
        if self._closed:
            raise InfrastructureError("the lease was given back while a worker was started")
        told = (slot, self._platform, self._cache, self._board, self._confinement)
        actor = head_call.bounded("start a worker", worker.remote, *told)
        # Asked at once: workers that are started one after the other run their canaries side by side.
        self._answers[slot] = actor.ready.remote()
        self._actors[slot] = actor
        if place.node.id not in self._building:
            self._building.add(place.node.id)
            for request in self._ahead:
                actor.build.remote(request)

    def ready(self, slot: int, place: DeviceAllocation) -> Ready:
        """What the worker of `slot`, started at `place`, says of its device.

        Raises `InfrastructureError`, `HostOverloadedError` where it does not answer within its start limit, and
        `InstallationError` where its code of the farm is not this process's.
        """
        try:
            answer = self._answers[slot]
            limit_s = start_limit.exceeded(lambda seconds: bool(ended([answer], seconds)), place.load)
            if limit_s is None:
                told: Ready = ray.get(answer, timeout=_FETCH_S)
        except (RayError, GetTimeoutError, KeyError) as error:  # KeyError: killed meanwhile, by a release
            raise InfrastructureError(f"the worker of {place.id} did not start: {_cause(error)}") from error
        if limit_s is not None:
            load = place.load.now() if place.load is not None else None
            raise HostOverloadedError(place.node.name, f"the worker of {place.id}", limit_s, load, place.node.id)
        installation.require_same(getattr(told, "code", None), f"the worker of {place.id}")
        return told

    def stages(self) -> dict[int, str]:
        """What each slot is doing; empty when the board does not answer, which costs a progress line and no more."""
        try:
            return dict(ray.get(self._board.stages.remote(), timeout=1.0))
        except (GetTimeoutError, RayError):
            return {}

    def stop(self, slots: Iterable[int]) -> None:
        """Kill the workers of `slots`; those that have none are well. Raises `HeadSilentError`."""
        self._kill(slots)

    def release(self, limit_s: float) -> None:
        """Kill all workers, and what belongs to them, and start none any more. Raises `HeadSilentError`."""
        self._closed = True
        self._kill(self.slots, self._board, limit_s=limit_s)

    def _kill(self, slots: Iterable[int], *others: Any, limit_s: float | None = None) -> None:
        slots = list(slots)
        for slot in slots:
            self._answers.pop(slot, None)
        found = [self._actors.pop(slot, None) for slot in slots]
        actors = [actor for actor in (*found, *others) if actor is not None]
        if actors:
            head_call.bounded("end workers", _kill_all, actors, limit_s=limit_s)


def ended(calls: Sequence[Any], timeout_s: float) -> list[Any]:
    """Those of `calls` that have ended, after waiting up to `timeout_s` for the first of them."""
    references = list(calls)
    if not ray.wait(references, timeout=timeout_s, fetch_local=False)[0]:
        return []
    done, _ = ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)
    return list(done)


def result(call: Any) -> Any:
    """The record of a call that has ended. Raises `WorkerLostError`."""
    try:
        return ray.get(call, timeout=_FETCH_S)
    except RayError as error:
        raise WorkerLostError(type(error).__name__, str(error)) from error


def _kill_all(actors: Iterable[Any]) -> None:
    for actor in actors:
        ray.kill(actor)


def _cause(error: Exception) -> str:
    """What happened, in one line: Ray puts what a worker's own code raised last, and everything else first."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[-1 if getattr(error, "actor_init_failed", False) else 0])
