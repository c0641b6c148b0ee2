"""What `/metrics` tells: latencies as they were measured, and counts that are taken when somebody asks.

Relay and workers listen on no port. What they do stands in the database, and every API process tells it
alike: take it from one, and what a process tells of itself (requests, refusals, connections) from each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, QueuePool

from service.api import census, gauges
from service.api.census import Census
from service.api.freshness import Fresh
from service.core import errors
from service.core.db.session import Sessions, transaction

BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.5, 10, 60)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 1.0
"""Scrapes within a second share one census."""
CLOSED_SECONDS = 60.0
"""Closed requests are counted again after a minute."""
REFUSALS = frozenset({429, 503})


class Meters:
    """The metrics of one process, in a registry of its own.

    Args:
        sessions: Where the counts come from.
        engine: The process's pool of database connections, if it is to be told of.
        fresh_seconds: How old a census may be.
    """

    def __init__(
        self, sessions: Sessions, engine: Engine | None = None, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(CensusCollector(sessions, fresh_seconds))
        if engine is not None and isinstance(engine.pool, QueuePool):
            self._registry.register(PoolCollector(engine.pool))
        self._latency = Histogram(
            "lethe_http_request_seconds",
            "Time until the answer was sent, by route.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "lethe_http_refusals",
            "Requests turned away for want of room or of a server (429, 503), by route and reason.",
            ("route", "status", "code"),
            registry=self._registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float, code: str | None = None) -> None:
        """Note one answered request, and the problem's code if it was refused."""
        self._latency.labels(method, route, str(status)).observe(seconds)
        if status in REFUSALS:
            self._refusals.labels(route, str(status), code or "other").inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class Reading:
    """What the database told.

    Attributes:
        census: None where it did not answer.
        closed: Closed requests by status; empty where they were too many to count in time.
    """

    census: Census | None
    closed: Mapping[str, int] = field(default_factory=dict)


class CensusCollector(Collector):
    """Counts at the moment of the scrape; a database that does not answer is itself a reading.

    Args:
        sessions: Where the counts come from.
        fresh_seconds: How old they may be.
    """

    def __init__(self, sessions: Sessions, fresh_seconds: float) -> None:
        self._sessions = sessions
        self._reading = Fresh(self._read, fresh_seconds)
        self._closed = Fresh(self._count_closed, max(fresh_seconds, CLOSED_SECONDS) if fresh_seconds else 0.0)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges and the counters that the database holds."""
        reading = self._reading.get()
        is_up = reading.census is not None
        yield gauges.gauge("lethe_database_up", "Whether the database answered the scrape.", is_up)
        if reading.census is not None:
            yield from gauges.families(reading.census, reading.closed)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: registering must not ask the database."""
        return iter(())

    def _read(self) -> Reading:
        try:
            with transaction(self._sessions) as session:
                taken = census.take(session)
        except errors.Unavailable:
            return Reading(None)
        return Reading(taken, self._closed.get())

    def _count_closed(self) -> Mapping[str, int]:
        try:
            with transaction(self._sessions) as session:
                return census.closed(session)
        except errors.Unavailable:
            return {}


class PoolCollector(Collector):
    """Tells how many database connections of this process are taken.

    Args:
        pool: Where they are kept.
    """

    def __init__(self, pool: QueuePool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; asks nobody."""
        in_use, free = self._pool.checkedout(), self._pool.checkedin()
        yield gauges.by(
            "lethe_database_connections",
            "Database connections of this process.",
            "state",
            {"in_use": in_use, "free": free},
        )
        yield gauges.gauge(
            "lethe_database_connections_limit",
            "Most of them that may be in use; further callers wait, then get 503.",
            self._pool.size() + self._pool._max_overflow,
        )
