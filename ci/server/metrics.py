"""`/metrics` for Prometheus: what this process counts itself, and what `StoreMetrics` counts in the store."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from ci.forge.protocol import Forge
from ci.server.store_metrics import StoreMetrics
from farm import __version__

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # GitHub hangs up after 10


class Metrics:
    """The metrics of one service."""

    def __init__(self, engine: Engine, forges: Mapping[str, Forge] | None = None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(StoreMetrics(engine))
        self._registry.register(_ForgeMetrics(forges or {}))
        ProcessCollector(registry=self._registry)
        build = Info("farm_build", "Version of the farm and of Python.", registry=self._registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self._webhook = Histogram(
            "farm_webhook_seconds",
            "Time until a webhook delivery was answered, by the answer's HTTP status.",
            ["status"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._requests = Histogram(
            "farm_http_request_seconds",
            "Time until the answer to an HTTP request began.",
            ["method", "route", "status"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def answered(self, status: int, seconds: float) -> None:
        """Note the answer to one delivery."""
        self._webhook.labels(str(status)).observe(seconds)

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note the answer to one HTTP request; `route` is its pattern, so that the number of series is bounded."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format. Raises `StoreError`."""
        return generate_latest(self._registry)


class _ForgeMetrics(Collector):
    """What forges are asked and answer."""

    def __init__(self, forges: Mapping[str, Forge]) -> None:
        self._forges = forges

    def collect(self) -> Iterator[Metric]:
        """Return what was counted since the process started."""
        requests = CounterMetricFamily(
            "farm_forge_requests", "Requests to a forge, by HTTP status; 0: no answer.", labels=["forge", "status"]
        )
        errors = CounterMetricFamily("farm_forge_errors", "Failed requests, by why.", labels=["forge", "kind"])
        remaining = GaugeMetricFamily(
            "farm_forge_rate_limit_remaining", "Requests that the forge still answers.", labels=["forge"]
        )
        limit = GaugeMetricFamily("farm_forge_rate_limit", "Of how many requests.", labels=["forge"])
        for name, forge in sorted(self._forges.items()):
            traffic = forge.traffic
            for status, number in sorted(traffic.answers.items()):
                requests.add_metric([name, str(status)], number)
            for kind, number in traffic.failures.items():
                errors.add_metric([name, kind.value], number)
            for family, value in ((remaining, traffic.remaining), (limit, traffic.limit)):
                if value is not None:  # Gitea and Forgejo name none
                    family.add_metric([name], value)
        yield from (requests, errors, remaining, limit)
