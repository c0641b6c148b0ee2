"""Writes a census down as Prometheus' metric families: names, units, labels; nothing is counted here.

Labels are bounded by what is installed: states, methods, checks, hosts. None is of a model, a request or a
person.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.api.census import Backlog, Census, LedgerState
from service.core.counting.repository import Counter, Totals
from service.core.fleet.models import Member, MemberState, Role
from service.core.queue.models import JobState
from service.core.requests.states import Status

COUNTERS: Mapping[Counter, tuple[str, str, tuple[str, ...]]] = {
    Counter.LEASES_LOST: (
        "lethe_leases_lost",
        "Leases that ran out while a worker held them, by what became of the job.",
        ("state",),
    ),
    Counter.HANDED_OVER: (
        "lethe_jobs_handed_over",
        "Jobs that a worker gave back unfinished because it was told to stop.",
        (),
    ),
    Counter.RUNS: ("lethe_runs", "Runs that ended, by method and outcome.", ("method", "outcome")),
    Counter.RUN_SECONDS: (
        "lethe_run_seconds",
        "Time that runs took from claim to end, by method and outcome.",
        ("method", "outcome"),
    ),
    Counter.AUDITS: ("lethe_audits", "Audits of candidates, by verdict.", ("verdict",)),
    Counter.CHECKS_REFUSED: (
        "lethe_audit_checks_refused",
        "Checks that a candidate did not pass, by check.",
        ("check",),
    ),
}
"""Name, meaning and labels of each counter that the database holds."""

EXPECTED: Mapping[Counter, tuple[tuple[str, ...], ...]] = {
    Counter.LEASES_LOST: ((JobState.READY,), (JobState.PARKED,)),
    Counter.HANDED_OVER: ((),),
    Counter.AUDITS: (("pass",), ("fail",), ("inconclusive",)),
}
"""Told as 0 before the first: an alarm on growth does not see a series begin."""

MEMORY: Mapping[str, tuple[str, str]] = {
    "engine_bytes": ("lethe_engine_memory_bytes", "Memory that engines hold."),
    "engine_peak_bytes": ("lethe_engine_memory_peak_bytes", "Most memory that engines have held."),
    "held_bytes": ("lethe_engine_kept_bytes", "Memory of what engines keep ready for the next run."),
    "gpu_used_bytes": ("lethe_gpu_memory_used_bytes", "Memory of the device in use, by whomever."),
    "gpu_total_bytes": ("lethe_gpu_memory_total_bytes", "Memory that the device has."),
}
SHARED = frozenset({"gpu_used_bytes", "gpu_total_bytes"})
"""Facts about the device, the same for all of its workers; the others add up."""


def families(taken: Census, closed: Mapping[str, int]) -> Iterator[Metric]:
    """Yield what a census found.

    Args:
        taken: The census.
        closed: Closed requests by status; empty where they were too many to count.
    """
    yield by("lethe_requests", "Forget requests by status.", "status", {**taken.requests, **closed})
    yield gauge(
        "lethe_needs_review",
        "Requests that no rung could serve: each waits for a person's decision.",
        taken.requests[Status.NEEDS_REVIEW],
    )
    yield gauge("lethe_requests_overdue", "Open requests past their due date.", taken.overdue)
    yield gauge("lethe_requests_due_soon", "Open requests due within seven days.", taken.due_soon)
    yield gauge(
        "lethe_queue_age_seconds",
        "Age of the oldest request that waits for a first run.",
        taken.queue_age_seconds,
    )
    yield by("lethe_jobs", "Jobs that are not done, by state.", "state", taken.jobs)
    yield gauge(
        "lethe_jobs_unresolved",
        "Parked jobs that no later success of their kind has made good.",
        taken.unresolved,
    )
    yield from _of_backlog(taken.backlog)
    yield from _of_ledger(taken.ledger)
    yield from _of_fleet(taken.fleet)
    for counter in Counter:
        yield _counter(counter, taken.counters.get(counter, {}))


def gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    """Return a gauge without labels."""
    return GaugeMetricFamily(name, documentation, value)


def by(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> GaugeMetricFamily:
    """Return a gauge with one label."""
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family


def _of_backlog(backlog: Backlog) -> Iterator[Metric]:
    yield gauge(
        "lethe_purge_backlog_versions",
        "Withdrawn versions whose files are still there.",
        backlog.versions,
    )
    yield gauge("lethe_purge_backlog_bytes", "Bytes of those files.", backlog.files_bytes)
    yield gauge(
        "lethe_purge_backlog_age_seconds",
        "Time since the first of those versions was withdrawn.",
        backlog.age_seconds,
    )


def _of_ledger(ledger: LedgerState) -> Iterator[Metric]:
    yield gauge(
        "lethe_ledger_unsequenced",
        "Ledger entries that wait for their place in the tree.",
        ledger.unsequenced,
    )
    yield gauge(
        "lethe_ledger_unsequenced_age_seconds",
        "Age of the first of those entries.",
        ledger.unsequenced_age_seconds,
    )
    if ledger.checkpoint_age_seconds is not None:
        yield gauge(
            "lethe_ledger_checkpoint_age_seconds",
            "Time since the newest checkpoint was signed; an idle log's grows.",
            ledger.checkpoint_age_seconds,
        )


def _of_fleet(fleet: Sequence[Member]) -> Iterator[Metric]:
    workers = [one for one in fleet if one.role == Role.WORKER]
    counts = {str(state): sum(one.state == state for one in workers) for state in MemberState}
    yield by("lethe_workers", "Workers seen lately, by state.", "state", counts)
    yield gauge("lethe_relays", "Relays seen lately.", len(fleet) - len(workers))
    for fact, (name, documentation) in MEMORY.items():
        family = GaugeMetricFamily(name, documentation, labels=["host", "device"])
        for place, values in _by_place(workers, fact).items():
            family.add_metric(place, max(values) if fact in SHARED else sum(values))
        yield family


def _by_place(workers: Iterable[Member], fact: str) -> dict[tuple[str, str], list[float]]:
    """Return what the workers of each device told of one fact."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for worker in workers:
        if fact in worker.facts:
            found[worker.host, worker.device or ""].append(float(worker.facts[fact]))
    return dict(found)


def _counter(counter: Counter, totals: Totals) -> CounterMetricFamily:
    name, documentation, labels = COUNTERS[counter]
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, total in {**dict.fromkeys(EXPECTED.get(counter, ()), 0.0), **totals}.items():
        if len(values) == len(labels):  # another release may have counted by other labels
            family.add_metric([str(value) for value in values], total)
    return family
