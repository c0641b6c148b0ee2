"""How an attempt at a job ends: the job is done, parked, given back, handed over, or taken away.

All but the taking away are the owner's own doing, in the transaction that writes its last word; each is
fenced, and rings for what its model waits for next.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core import clock
from service.core.db.moments import moment
from service.core.queue import repository as queue
from service.core.queue import turns
from service.core.queue.leases import Lease, fence
from service.core.queue.models import Job, JobKind, JobState

RETRY_SECONDS = 1.0


def finish(session: Session, lease: Lease) -> None:
    """Close a job whose work is written by this same transaction, and ring for the model's next.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    _end(session, lease, state=JobState.DONE, lease_until=None, finished_at=clock.now(), reason=None)


def park(session: Session, lease: Lease, reason: str) -> None:
    """Keep a job that cannot succeed for a person to look at, and ring for the model's next.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    _end(
        session,
        lease,
        state=JobState.PARKED,
        lease_until=None,
        finished_at=clock.now(),
        reason=reason[:500],
    )


def give_back(session: Session, lease: Lease, reason: str) -> None:
    """Return a job for another attempt a little later.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    _end(
        session,
        lease,
        state=JobState.READY,
        lease_until=None,
        not_before=moment(RETRY_SECONDS * 2 ** min(lease.attempts, 6)),
        rung_at=None,
        reason=reason[:500],
    )


def hand_over(session: Session, lease: Lease, reason: str) -> None:
    """Return a job at once, as if this attempt had not been made, and ring for it.

    One that is untouched again thereby is united with the untouched job that came meanwhile, if one did:
    there can be only one, and the older keeps its place.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    while True:
        try:
            with session.begin_nested():
                # Before the fence: whoever claims the twin holds it while looking at this lease.
                due_at = _unite(session, lease) if lease.attempts == 1 else None
                _end(
                    session,
                    lease,
                    due_at=func.least(Job.due_at, due_at),
                    turn_at=func.least(Job.turn_at, due_at),
                    state=JobState.READY,
                    attempts=Job.attempts - 1,
                    lease_until=None,
                    not_before=None,
                    rung_at=None,
                    reason=reason[:500],
                )
        except IntegrityError:
            continue  # a twin was inserted in between; it can be seen now
        return


def expired(session: Session, limit: int = 100) -> Sequence[Lease]:
    """Lock and return the running jobs whose lease ran out; jobs that another reaper holds are left to it."""
    rows = session.execute(
        select(Job.id, Job.model_id, Job.kind, Job.lease_epoch, Job.attempts)
        .where(Job.state == JobState.RUNNING, Job.lease_until < moment())
        .order_by(Job.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Lease(row.id, row.model_id, JobKind(row.kind), row.lease_epoch, row.attempts) for row in rows]


def take_away(session: Session, lease: Lease, reason: str) -> None:
    """Return an expired job to the ready ones; its old owner is fenced from here on."""
    _end(session, lease, state=JobState.READY, lease_until=None, rung_at=None, reason=reason[:500])


def _unite(session: Session, lease: Lease) -> datetime | None:
    """Delete the untouched job of the same model and kind, if there is one, and return when it was due."""
    return session.scalar(
        delete(Job)
        .where(Job.model_id == lease.model_id, Job.kind == lease.kind)
        .where(Job.state == JobState.READY, Job.attempts == 0)
        .returning(Job.due_at)
    )


def _end(session: Session, lease: Lease, **values: object) -> None:
    fence(session, lease)
    session.execute(update(Job).where(Job.id == lease.job_id).values(**values))
    following = session.scalar(
        select(Job.id)
        .where(Job.model_id == lease.model_id, Job.state == JobState.READY)
        .order_by(*turns.IN_MODEL)
        .limit(1)
    )
    if following is not None:
        queue.ring(session, following)
