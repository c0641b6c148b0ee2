"""What `/metrics` tells: latencies as they were measured, and counts that are taken when somebody asks."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.api import repository
from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.requests.states import Status

BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.5, 10, 60)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Meters:
    """The metrics of one process, in a registry of its own.

    Args:
        sessions: Where the counts come from.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(CensusCollector(sessions))
        self._latency = Histogram(
            "lethe_http_request_seconds",
            "Time until the answer was sent, by route.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self._registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note one answered request."""
        self._latency.labels(method, route, str(status)).observe(seconds)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class CensusCollector(Collector):
    """Counts at the moment of the scrape; a database that does not answer is itself a reading.

    Args:
        sessions: Where the counts come from.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        try:
            with transaction(self._sessions) as session:
                taken = repository.census(session)
        except errors.Unavailable:
            yield GaugeMetricFamily("lethe_database_up", "Whether the database answered the scrape.", 0)
            return
        yield GaugeMetricFamily("lethe_database_up", "Whether the database answered the scrape.", 1)
        yield _by("lethe_requests", "Forget requests by status.", "status", taken.requests)
        yield GaugeMetricFamily(
            "lethe_needs_review",
            "Requests that no rung could serve: each waits for a person's decision.",
            taken.requests[Status.NEEDS_REVIEW],
        )
        yield GaugeMetricFamily("lethe_requests_overdue", "Open requests past their due date.", taken.overdue)
        yield GaugeMetricFamily(
            "lethe_queue_age_seconds",
            "Age of the oldest request that waits for a first run.",
            taken.queue_age_seconds,
        )
        yield _by("lethe_jobs", "Jobs that are not done, by state.", "state", taken.jobs)
        yield GaugeMetricFamily(
            "lethe_ledger_unsequenced",
            "Ledger entries that wait for their place in the tree.",
            taken.unsequenced,
        )

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield nothing: registering must not ask the database."""
        return iter(())


def _by(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family
