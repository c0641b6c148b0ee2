"""Leases: a worker claims a job for a while, renews its claim, and writes in its name only while it holds.

A claim is a lease with an epoch. Leases are timed by the database's clock alone: machines whose clocks differ
agree on it. Whoever writes in a job's name first calls `fence`, in the same transaction: a worker whose lease
went to another can waste its time, but can change nothing.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core import errors
from service.core.db.moments import moment
from service.core.queue import repository as queue
from service.core.queue import turns
from service.core.queue.models import Job, JobKind, JobState

AFFINITY_SECONDS = 10.0
CLAIMS_TRIED = 8
"""A claim that another worker's crossed looks again, with fresh eyes; so often at the most."""


@dataclass(frozen=True)
class Lease:
    """A claimed job, for as long as its epoch is the row's.

    Attributes:
        job_id: The job.
        model_id: The model it works on.
        kind: What it does.
        epoch: The number every write must carry.
        attempts: Claims so far, this one included.
    """

    job_id: uuid.UUID
    model_id: uuid.UUID
    kind: JobKind
    epoch: int
    attempts: int


def claim_next(
    session: Session,
    owner: str,
    lease_seconds: float,
    *,
    at_hand: Collection[uuid.UUID] = (),
    affinity_seconds: float = AFFINITY_SECONDS,
) -> Lease | None:
    """Claim the job that should go next, over all models that nobody works on (`turns`).

    Args:
        session: A transaction of its own, committed by the caller at once.
        owner: Who claims, for people to read.
        lease_seconds: How long the claim lasts without a heartbeat.
        at_hand: Models that the worker's engine has in memory: their jobs go first.
        affinity_seconds: A more urgent job that has waited so long is not passed over for them.

    Returns:
        The lease, or None: there is nothing to do, or others are about to do it.
    """
    for _ in range(CLAIMS_TRIED):
        now, patient_until = moment(), moment(-affinity_seconds)
        with session.begin_nested() as look:
            chosen = turns.most_urgent(session, now, patient_until)
            if chosen is None:
                return None
            is_passed_over = at_hand and chosen.model_id not in at_hand and not chosen.is_pressing
            if is_passed_over:
                look.rollback()  # frees its model: another worker is to find this job, and not a later one
        if is_passed_over:
            ours = turns.most_urgent_at_hand(session, now, patient_until, at_hand, chosen.rank)
            if ours is not None:
                queue.ring(session, chosen.job_id)  # whoever looked in between found its model locked
                chosen = ours
        lease = claim(session, chosen.job_id, owner, lease_seconds)
        if lease is not None:
            return lease
    return None


def claim(session: Session, job_id: uuid.UUID, owner: str, lease_seconds: float) -> Lease | None:
    """Claim the job whose turn it is among those of a job's model.

    A retry that is not due yet holds its place: later jobs of the model wait behind it, so that order is kept
    and attempts are counted where they belong.

    Args:
        session: A transaction of its own, committed by the caller at once.
        job_id: Any job of the model.
        owner: Who claims, for people to read.
        lease_seconds: How long the claim lasts without a heartbeat.

    Returns:
        The lease, or None: the model is busy, has no job, or a retry is not due yet.
    """
    model_id = session.scalar(select(Job.model_id).where(Job.id == job_id))
    if model_id is None:
        return None
    now = moment()
    first = (
        select(Job.id)
        .where(Job.model_id == model_id, turns.IS_READY, turns.holds_place(now))
        .order_by(*turns.IN_MODEL)
        .limit(1)
        .with_for_update()
        .scalar_subquery()
    )
    try:
        with session.begin_nested():
            row = session.execute(
                update(Job)
                .where(Job.id == first, Job.state == JobState.READY, turns.is_due(now), turns.is_idle())
                .values(
                    state=JobState.RUNNING,
                    owner=owner,
                    attempts=Job.attempts + 1,
                    lease_epoch=Job.lease_epoch + 1,
                    lease_until=moment(lease_seconds),
                )
                .returning(Job.id, Job.kind, Job.lease_epoch, Job.attempts)
            ).one_or_none()
    except IntegrityError:
        return None
    if row is None:
        return None
    return Lease(row.id, model_id, JobKind(row.kind), row.lease_epoch, row.attempts)


def heartbeat(session: Session, lease: Lease, lease_seconds: float) -> None:
    """Extend a lease that is still ours.

    Raises:
        errors.LeaseLost: It is not.
    """
    renewed = session.execute(
        update(Job).where(*_ours(lease)).values(lease_until=moment(lease_seconds)).returning(Job.id)
    ).one_or_none()
    if renewed is None:
        raise _lost(lease)


def fence(session: Session, lease: Lease) -> None:
    """Lock the job row and make sure that this transaction may write in the lease's name.

    Raises:
        errors.LeaseLost: The lease ran out and went to another, or the job is finished.
    """
    if session.scalar(select(Job.id).where(*_ours(lease)).with_for_update()) is None:
        raise _lost(lease)


def is_held_up(session: Session, lease: Lease) -> bool:
    """Whether a job waits that could run if this one ended: of its model, or of one that nobody works on.

    Studies do not count: they hold each other up in turns.
    """
    waiting = select(Job.id).where(
        turns.IS_READY,
        Job.kind != JobKind.STUDY,
        turns.is_due(moment()),
        or_(Job.model_id == lease.model_id, turns.is_idle()),
    )
    return session.scalar(select(waiting.exists())) is True


def _ours(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (Job.id == lease.job_id, Job.lease_epoch == lease.epoch, Job.state == JobState.RUNNING)


def _lost(lease: Lease) -> errors.LeaseLost:
    return errors.LeaseLost(
        f"The lease of job {lease.job_id} at epoch {lease.epoch} is over; another attempt owns it now."
    )
