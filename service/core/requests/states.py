"""The life of a forget request as a pure state machine.

    received -> queued -> running -> auditing -> completed

Beside the main line stand `held` (approval or cancel window), `needs_review` (every rung failed its audit; a
person decides), `accepted` (a person has accepted what the audit refused; a worker publishes it),
`rejected`, `cancelled` and `failed` (infrastructure, after all attempts). A request whose interim version is
served goes back to `queued`: it waits for the exact retraining that closes it. A request may be taken back
until a version that has forgotten it is published. Whoever changes a request's state asks `transition` first;
there is no other way.
"""

from enum import StrEnum

from service.core import errors


class Status(StrEnum):
    """Where a request stands."""

    RECEIVED = "received"
    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    AUDITING = "auditing"
    COMPLETED = "completed"
    NEEDS_REVIEW = "needs_review"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


ALLOWED: dict[Status, frozenset[Status]] = {
    Status.RECEIVED: frozenset(
        {Status.HELD, Status.QUEUED, Status.REJECTED, Status.CANCELLED, Status.COMPLETED}
    ),
    Status.HELD: frozenset({Status.QUEUED, Status.REJECTED, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.COMPLETED, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset(
        {Status.AUDITING, Status.QUEUED, Status.NEEDS_REVIEW, Status.FAILED, Status.CANCELLED}
    ),
    Status.AUDITING: frozenset(
        {
            Status.COMPLETED,
            Status.RUNNING,
            Status.QUEUED,
            Status.NEEDS_REVIEW,
            Status.FAILED,
            Status.CANCELLED,
        }
    ),
    Status.NEEDS_REVIEW: frozenset({Status.QUEUED, Status.REJECTED, Status.ACCEPTED}),
    Status.ACCEPTED: frozenset({Status.COMPLETED, Status.NEEDS_REVIEW}),
    Status.FAILED: frozenset({Status.QUEUED, Status.REJECTED}),
    Status.COMPLETED: frozenset(),
    Status.REJECTED: frozenset(),
    Status.CANCELLED: frozenset(),
}

CLOSED = frozenset(status for status, following in ALLOWED.items() if not following)
OPEN = frozenset(Status) - CLOSED
"""Nothing follows these: the request's target is no longer needed."""

CANCELLABLE = frozenset({Status.RECEIVED, Status.HELD, Status.QUEUED, Status.RUNNING, Status.AUDITING})
"""Until it is published: a run that serves such a request is broken off."""

DECIDABLE = frozenset({Status.HELD, Status.NEEDS_REVIEW, Status.FAILED})
"""A person may send these on, or reject them."""

IN_RUN = frozenset({Status.RUNNING, Status.AUDITING})


def transition(current: Status, following: Status) -> Status:
    """Return the following state if it may follow.

    Raises:
        errors.Conflict: It may not.
    """
    if following not in ALLOWED[current]:
        raise errors.Conflict(
            f"A request that is {current} cannot become {following}.", code="illegal_transition"
        )
    return following
