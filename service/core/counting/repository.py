"""The queries on counters: add to one, read all, fold their rows together."""

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core.counting.models import Count

FOLDED_AT = 500
"""Rows that may stand beside the sums before they are folded."""

FOLDING_LOCK = 0x1E7E0C07
SEPARATOR = "|"


class Counter(StrEnum):
    """What is counted, with the labels it is counted by."""

    LEASES_LOST = "leases_lost"
    """Leases that ran out while their worker held them; by the state that the job went to."""
    HANDED_OVER = "handed_over"
    """Jobs that a worker which was told to stop gave back unfinished."""
    RUNS = "runs"
    """Runs that ended; by method and outcome."""
    RUN_SECONDS = "run_seconds"
    """Time that those took from claim to end; by method and outcome."""
    AUDITS = "audits"
    """Audits; by verdict."""
    CHECKS_REFUSED = "checks_refused"
    """Checks that an audit did not pass; by check."""


Totals = Mapping[tuple[str, ...], float]


def add(session: Session, counter: Counter, *labels: str, amount: float = 1.0) -> None:
    """Count something in the transaction in which it happens; never waits for another.

    Args:
        session: The transaction.
        counter: What is counted.
        labels: Value of each of its labels, in their order.
        amount: How much to add.
    """
    joined = SEPARATOR.join(label.replace(SEPARATOR, " ") for label in labels)[:200]
    session.execute(insert(Count).values(name=counter, labels=joined, amount=amount))


def totals(session: Session) -> dict[Counter, Totals]:
    """Return every counter's value by the values of its labels."""
    rows = session.execute(
        select(Count.name, Count.labels, func.sum(Count.amount)).group_by(Count.name, Count.labels)
    )
    known = {counter.value for counter in Counter}
    found: defaultdict[Counter, dict[tuple[str, ...], float]] = defaultdict(dict)
    for name, labels, amount in rows:
        if name in known:  # a newer release may count more
            found[Counter(name)][tuple(labels.split(SEPARATOR)) if labels else ()] = amount
    return dict(found)


def fold(session: Session) -> bool:
    """Replace the rows of each counter by their sum where many have gathered; whether anything was done.

    One folds at a time. What is added meanwhile by others stays as it is: a sum replaces the rows that its
    own statement deleted.
    """
    ids = select(Count.id).limit(FOLDED_AT + 1).subquery()
    if session.scalars(select(func.count()).select_from(ids)).one() <= FOLDED_AT:
        return False
    if not session.scalar(select(func.pg_try_advisory_xact_lock(FOLDING_LOCK))):
        return False
    gone = delete(Count).returning(Count.name, Count.labels, Count.amount).cte("gone")
    sums = select(gone.c.name, gone.c.labels, func.sum(gone.c.amount)).group_by(gone.c.name, gone.c.labels)
    session.execute(insert(Count).from_select(["name", "labels", "amount"], sums))
    return True
