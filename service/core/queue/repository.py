"""The queries on jobs: enqueue, claim, heartbeat, fence, finish, give back, reap.

A claim is a lease with an epoch. Leases and retries are timed by the database's clock alone: machines whose
clocks differ agree on it. Whoever writes in a job's name first calls `fence`, in the same transaction: a
worker whose lease went to another can waste its time, but can change nothing.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, case, delete, false, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from service.core import clock, errors
from service.core.db.base import new_id
from service.core.queue import doorbell
from service.core.queue.models import Job, JobKind, JobState

RETRY_SECONDS = 1.0
TURN = (
    Job.kind == JobKind.STUDY,
    Job.kind == JobKind.REFRESH,
    Job.kind != JobKind.ACCEPT,
    Job.position,
)
"""Whose turn it is among a model's jobs: as they came, but nobody waits for a refresh, or for a study, and
what a person accepted is published before a run moves the version that it is to follow."""


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


def enqueue(
    session: Session,
    model_id: uuid.UUID,
    kind: JobKind,
    *,
    due_at: datetime | None = None,
    not_before: datetime | None = None,
) -> uuid.UUID:
    """Make sure an untouched job of this kind waits for the model, and ring at commit.

    The untouched job is locked against being claimed until this transaction ends, so that whoever claims it
    sees what this transaction writes. A job that is put off, or due later, is brought forward by whoever
    wants it sooner.

    Args:
        session: The transaction.
        model_id: The model.
        kind: What is to be done.
        due_at: When somebody has a right to it; None for nobody.
        not_before: When it may begin; None for at once.

    Returns:
        The job that will do the work.
    """
    untouched = (Job.model_id == model_id, Job.kind == kind, Job.state == JobState.READY, Job.attempts == 0)
    while True:
        job_id = (
            _insert(session, model_id, kind, due_at=due_at, not_before=not_before)
            # Brought forward first, and only then shared: a shared lock that grows can deadlock.
            or _bring_forward(session, untouched, due_at=due_at, not_before=not_before)
            or session.scalar(select(Job.id).where(*untouched).with_for_update(read=True))
        )
        if job_id is not None:
            ring(session, job_id)
            return job_id


def is_waiting(session: Session, model_id: uuid.UUID, kind: JobKind) -> bool:
    """Whether a ready job of this kind waits for the model."""
    waiting = select(Job.id).where(Job.model_id == model_id, Job.kind == kind, Job.state == JobState.READY)
    return session.scalar(select(waiting.exists())) is True


def is_held_up(session: Session, lease: Lease) -> bool:
    """Whether a job waits that could run if this one ended: of its model, or of one that nobody works on.

    Studies do not count: they hold each other up in turns.
    """
    running = aliased(Job)
    busy = select(running.id).where(running.model_id == Job.model_id, running.state == JobState.RUNNING)
    waiting = select(Job.id).where(
        Job.state == JobState.READY,
        Job.kind != JobKind.STUDY,
        or_(Job.not_before.is_(None), Job.not_before <= _moment()),
        or_(Job.model_id == lease.model_id, ~busy.exists()),
    )
    return session.scalar(select(waiting.exists())) is True


def ring(session: Session, job_id: uuid.UUID) -> None:
    """Tell the relay, when this transaction commits, that a job is ready."""
    session.execute(select(func.pg_notify(doorbell.JOBS_CHANNEL, str(job_id))))


def claim(session: Session, job_id: uuid.UUID, owner: str, lease_seconds: float) -> Lease | None:
    """Claim the first ready job of a model, in the order they came, a refresh and then a study last.

    A retry that is not due yet holds its place: later jobs of the model wait behind it, so that order is kept
    and attempts are counted where they belong. An exact retraining that is put off for days holds none.

    Args:
        session: A transaction of its own, committed by the caller at once.
        job_id: The job whose bell rang; the model's first waiting job is claimed, which may be another.
        owner: Who claims, for people to read.
        lease_seconds: How long the claim lasts without a heartbeat.

    Returns:
        The lease, or None: the bell was doubled or late, the model is busy, or a retry is not due yet.
    """
    model_id = session.scalar(select(Job.model_id).where(Job.id == job_id))
    if model_id is None:
        return None
    is_due = or_(Job.not_before.is_(None), Job.not_before <= _moment())
    first = (
        select(Job.id)
        .where(Job.model_id == model_id, Job.state == JobState.READY, or_(Job.kind != JobKind.EXACT, is_due))
        .order_by(*TURN)
        .limit(1)
        .with_for_update()
        .scalar_subquery()
    )
    try:
        with session.begin_nested():
            row = session.execute(
                update(Job)
                .where(Job.id == first, Job.state == JobState.READY, is_due)
                .values(
                    state=JobState.RUNNING,
                    owner=owner,
                    attempts=Job.attempts + 1,
                    lease_epoch=Job.lease_epoch + 1,
                    lease_until=_moment(lease_seconds),
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
        update(Job).where(*_ours(lease)).values(lease_until=_moment(lease_seconds)).returning(Job.id)
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
        not_before=_moment(RETRY_SECONDS * 2 ** min(lease.attempts, 6)),
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
                _end(
                    session,
                    lease,
                    # Before the fence: whoever claims the twin holds it while looking at this lease.
                    due_at=_unite(session, lease) if lease.attempts == 1 else Job.due_at,
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
        .where(Job.state == JobState.RUNNING, Job.lease_until < _moment())
        .order_by(Job.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Lease(row.id, row.model_id, JobKind(row.kind), row.lease_epoch, row.attempts) for row in rows]


def take_away(session: Session, lease: Lease, reason: str) -> None:
    """Return an expired job to the ready ones; its old owner is fenced from here on."""
    _end(session, lease, state=JobState.READY, lease_until=None, rung_at=None, reason=reason[:500])


def to_ring(session: Session, quiet_seconds: float, limit: int = 200) -> Sequence[uuid.UUID]:
    """Mark and return ready jobs of idle models that nobody has rung for in the last seconds."""
    now = _moment()
    running = aliased(Job)
    busy = select(running.id).where(running.model_id == Job.model_id, running.state == JobState.RUNNING)
    chosen = (
        select(Job.id)
        .where(
            Job.state == JobState.READY,
            or_(Job.rung_at.is_(None), Job.rung_at < _moment(-quiet_seconds)),
            or_(Job.not_before.is_(None), Job.not_before <= now),
            ~busy.exists(),
        )
        .order_by(Job.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(
        session.scalars(
            update(Job).where(Job.id.in_(chosen.scalar_subquery())).values(rung_at=now).returning(Job.id)
        )
    )


def _moment(seconds_from_now: float = 0.0) -> ColumnElement[datetime]:
    """Return a moment by the database's clock, as it reads the statement."""
    return func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=seconds_from_now)


def _insert(
    session: Session,
    model_id: uuid.UUID,
    kind: JobKind,
    *,
    due_at: datetime | None,
    not_before: datetime | None,
) -> uuid.UUID | None:
    """Insert a job, unless one waits that nobody has touched."""
    return session.scalar(
        insert(Job)
        .values(
            id=new_id(),
            model_id=model_id,
            kind=kind,
            state=JobState.READY,
            due_at=due_at,
            not_before=not_before,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(
            index_elements=["model_id", "kind"], index_where=text("state = 'ready' AND attempts = 0")
        )
        .returning(Job.id)
    )


def _bring_forward(
    session: Session,
    untouched: tuple[ColumnElement[bool], ...],
    *,
    due_at: datetime | None,
    not_before: datetime | None,
) -> uuid.UUID | None:
    """Let a waiting job begin, and be due, when this caller wants it, where that is sooner."""
    begins_later = Job.not_before.is_not(None) if not_before is None else Job.not_before > not_before
    is_due_later = false() if due_at is None else or_(Job.due_at.is_(None), Job.due_at > due_at)
    return session.scalar(
        update(Job)
        .where(*untouched, or_(begins_later, is_due_later))
        .values(
            not_before=case((begins_later, not_before), else_=Job.not_before),
            due_at=func.least(Job.due_at, due_at),  # which passes over NULL
        )
        .returning(Job.id)
    )


def _unite(session: Session, lease: Lease) -> ColumnElement[datetime | None]:
    """Delete the untouched job of the same model and kind, if there is one; return when both are due."""
    twin = session.execute(
        delete(Job)
        .where(Job.model_id == lease.model_id, Job.kind == lease.kind)
        .where(Job.state == JobState.READY, Job.attempts == 0)
        .returning(Job.due_at)
    ).one_or_none()
    return func.least(Job.due_at, twin.due_at if twin is not None else None)


def _ours(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (Job.id == lease.job_id, Job.lease_epoch == lease.epoch, Job.state == JobState.RUNNING)


def _end(session: Session, lease: Lease, **values: object) -> None:
    fence(session, lease)
    session.execute(update(Job).where(Job.id == lease.job_id).values(**values))
    following = session.scalar(
        select(Job.id)
        .where(Job.model_id == lease.model_id, Job.state == JobState.READY)
        .order_by(*TURN)
        .limit(1)
    )
    if following is not None:
        ring(session, following)


def _lost(lease: Lease) -> errors.LeaseLost:
    return errors.LeaseLost(
        f"The lease of job {lease.job_id} at epoch {lease.epoch} is over; another attempt owns it now."
    )
