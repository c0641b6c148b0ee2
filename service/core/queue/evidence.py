"""What each lost or failed attempt at a job left behind, for the person who looks at it once it is parked.

An entry tells `attempt`, `at`, `owner` and `reason`; and, as far as it is known, `code`, the `stage` its run
had come to, how many requests it `served`, the engine's `exit_status` (negative: the number of the signal
that ended it), that `signal` by name, and its `peak_memory_bytes`. It never names a sample or a person.

The entries also decide how many requests the next attempt serves. One request of many may be what kills the
engine, so after the second loss of a job each attempt serves half as many as the one before: what is not to
blame is published, and the one that is ends alone (`share`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from service.core import clock
from service.core.queue import leases
from service.core.queue.leases import Lease
from service.core.queue.models import Job

KEPT = 32
"""More than halving a run of the largest size takes; older entries go."""

WHOLE_ATTEMPTS = 2
"""Losses before anybody is suspected: one may be a machine's, a restart's, an accident."""


def note(
    session: Session, lease: Lease, reason: str, facts: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """Add what is known of an attempt that ends now, under its lease, and return all that is kept.

    Args:
        session: The transaction, which then gives the job back, takes it away or parks it.
        lease: The attempt's lease.
        reason: Why it ended, without personal data.
        facts: What else is known; None stands for what is not.

    Raises:
        errors.LeaseLost: The lease is no longer the attempt's.
    """
    leases.fence(session, lease)
    job = session.get_one(Job, lease.job_id, populate_existing=True)
    known = {name: value for name, value in facts.items() if value is not None}
    entry = {
        "attempt": lease.attempts,
        "at": clock.rfc3339(clock.now()),
        "owner": job.owner,
        "reason": reason[:500],
        **known,
    }
    job.evidence = [*job.evidence, entry][-KEPT:]
    session.flush()
    return job.evidence


def share(entries: Sequence[Mapping[str, Any]]) -> int | None:
    """Return how many requests the next attempt may serve at most; None for all of them."""
    sizes = _sizes(entries)
    return max(1, sizes[-1] // 2) if len(sizes) >= WHOLE_ATTEMPTS else None


def is_narrowed(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the next attempt serves fewer requests than the first one did."""
    allowed = share(entries)
    return allowed is not None and allowed < _sizes(entries)[0]


def of(session: Session, lease: Lease) -> Sequence[Mapping[str, Any]]:
    """Return what earlier attempts at a job left behind, oldest first."""
    return session.get_one(Job, lease.job_id).evidence


def _sizes(entries: Sequence[Mapping[str, Any]]) -> list[int]:
    """How many requests each attempt served; those that no request can be blamed for do not count."""
    return [entry["served"] for entry in entries if entry.get("served")]
