"""The queries on jobs: enqueue, claim, heartbeat, fence, finish, give back, reap.

A claim is a lease with an epoch. Leases and retries are timed by the database's clock alone: machines whose
clocks differ agree on it. Whoever writes in a job's name first calls `fence`, in the same transaction: a
worker whose lease went to another can waste its time, but can change nothing.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, case, delete, false, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import new_id
from service.core.queue import doorbell, turns
from service.core.queue.models import Job, JobKind, JobState

RETRY_SECONDS = 1.0
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
        not_before: When it may begin, if somebody touches it before then; None for at once. The relay's
            sweep rings for it at that time.

    Returns:
        The job that will do the work.
    """
    untouched = (Job.model_id == model_id, Job.kind == kind, Job.state == JobState.READY, Job.attempts == 0)
    while True:
        job_id = (
            # Most often one waits that needs no change: joining it is one statement.
            _join(session, untouched, due_at=due_at, not_before=not_before)
            or _insert(session, model_id, kind, due_at=due_at, not_before=not_before)
            # Brought forward first, and only then shared: a shared lock that grows can deadlock.
            or _bring_forward(session, untouched, due_at=due_at, not_before=not_before)
            or session.scalar(select(Job.id).where(*untouched).with_for_update(read=True))
        )
        if job_id is not None:
            if not_before is None:
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
    waiting = select(Job.id).where(
        turns.IS_READY,
        Job.kind != JobKind.STUDY,
        turns.is_due(_moment()),
        or_(Job.model_id == lease.model_id, turns.is_idle()),
    )
    return session.scalar(select(waiting.exists())) is True


def ring(session: Session, job_id: uuid.UUID) -> None:
    """Tell the relay, when this transaction commits, that a job is ready."""
    session.execute(select(func.pg_notify(doorbell.JOBS_CHANNEL, str(job_id))))


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
        now, patient_until = _moment(), _moment(-affinity_seconds)
        chosen = turns.most_urgent(session, now, patient_until)
        if chosen is None:
            return None
        if at_hand and chosen.model_id not in at_hand and not chosen.is_pressing:
            ours = turns.most_urgent_at_hand(session, now, patient_until, at_hand, chosen.rank)
            if ours is not None:
                ring(session, chosen.job_id)  # whoever looked meanwhile found its model locked
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
    now = _moment()
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
    """Mark and return ready jobs of idle models that nobody has rung for in the last seconds.

    A bell wakes a worker, which claims what is most urgent and goes on until nothing is left, so it does not
    matter which jobs are rung for, as long as it is done while any is ready.
    """
    now = _moment()
    chosen = (
        select(Job.id)
        .where(
            turns.IS_READY,
            or_(Job.rung_at.is_(None), Job.rung_at < _moment(-quiet_seconds)),
            turns.is_due(now),
            turns.is_idle(),
        )
        .order_by(*turns.BETWEEN_MODELS)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte()  # evaluated once; a subquery in its place may be run for each row, and would lock more
    )
    return list(
        session.scalars(
            update(Job).where(Job.id.in_(select(chosen.c.id))).values(rung_at=now).returning(Job.id)
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
            rank=turns.RANK.get(kind, 0),
            turn_at=turns.turn_at(due_at),
            due_at=due_at,
            not_before=not_before,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(
            index_elements=["model_id", "kind"], index_where=text("state = 'ready' AND attempts = 0")
        )
        .returning(Job.id)
    )


def _join(
    session: Session,
    untouched: tuple[ColumnElement[bool], ...],
    *,
    due_at: datetime | None,
    not_before: datetime | None,
) -> uuid.UUID | None:
    """Lock a waiting job against being claimed, if it begins and is due as soon as this caller wants it."""
    begins_then = Job.not_before.is_(None) if not_before is None else Job.not_before <= not_before
    is_due_then = true() if due_at is None else Job.due_at <= due_at
    return session.scalar(
        select(Job.id)
        .where(*untouched, or_(Job.not_before.is_(None), begins_then), is_due_then)
        .with_for_update(read=True)
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
            turn_at=func.least(Job.turn_at, due_at),
        )
        .returning(Job.id)
    )


def _unite(session: Session, lease: Lease) -> datetime | None:
    """Delete the untouched job of the same model and kind, if there is one, and return when it was due."""
    return session.scalar(
        delete(Job)
        .where(Job.model_id == lease.model_id, Job.kind == lease.kind)
        .where(Job.state == JobState.READY, Job.attempts == 0)
        .returning(Job.due_at)
    )


def _ours(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (Job.id == lease.job_id, Job.lease_epoch == lease.epoch, Job.state == JobState.RUNNING)


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
        ring(session, following)


def _lost(lease: Lease) -> errors.LeaseLost:
    return errors.LeaseLost(
        f"The lease of job {lease.job_id} at epoch {lease.epoch} is over; another attempt owns it now."
    )
