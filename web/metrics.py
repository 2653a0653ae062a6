"""This file counts for `/metrics` (Prometheus text format): labels are patterns of routes, never what stood in a path."""

from __future__ import annotations

import re
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "antin_requests_total",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "antin_request_seconds", "Time to the answer's end", ["route"], buckets=SECONDS, registry=self._registry
        )  # fmt: skip
        self._ready = Gauge(
            "antin_ready", "1 where nothing keeps the part from its work", ["part"], registry=self._registry
        )
        self._rooms = _Rooms()
        self._registry.register(self._rooms)

    def visit(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self, counts: Mapping[str, float], ready: Mapping[str, bool]) -> bytes:
        """The exposition. `counts` are gauges by name, as the rooms count them."""
        self._rooms.counts = counts
        for part, well in ready.items():
            self._ready.labels(part).set(1.0 if well else 0.0)
        return generate_latest(self._registry)


class _Rooms(Collector):
    def __init__(self) -> None:
        self.counts: Mapping[str, float] = {}

    def collect(self) -> list[GaugeMetricFamily]:
        return [
            GaugeMetricFamily(
                "antin_" + re.sub(r"\W", "_", name.lower()), "As the rooms count it", value=value
            )
            for name, value in sorted(self.counts.items())
        ]
