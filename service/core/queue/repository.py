"""The queries on what waits: enqueue, see whether a job waits, ring for one, and for all that may run."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Text,
    bindparam,
    case,
    cast,
    false,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import clock
from service.core.db.base import Base, new_id
from service.core.db.moments import moment
from service.core.queue import doorbell, turns
from service.core.queue.models import Job, JobKind, JobState

_DUE_AT, _NOT_BEFORE = (bindparam(name, type_=DateTime(timezone=True)) for name in ("due_at", "not_before"))
_JOBS = Base.metadata.tables[Job.__tablename__].c
_JOIN = (
    select(_JOBS.id)
    .where(
        _JOBS.model_id == bindparam("model_id"),
        _JOBS.kind == bindparam("kind"),
        _JOBS.state == JobState.READY,
        _JOBS.attempts == 0,
        or_(_JOBS.not_before.is_(None), _JOBS.not_before <= _NOT_BEFORE),
        or_(_DUE_AT.is_(None), _JOBS.due_at <= _DUE_AT),
    )
    .with_for_update(read=True)
)
_JOINED = _JOIN.cte("joined")  # rung for after it is locked
_JOIN_AND_RING = select(_JOINED.c.id, func.pg_notify(doorbell.JOBS_CHANNEL, cast(_JOINED.c.id, Text)))


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
        # Most often one waits that needs no change: joining it, and ringing for it, is one statement.
        joined = _join(session, model_id, kind, due_at=due_at, not_before=not_before)
        if joined is not None:
            return joined
        job_id = (
            _insert(session, model_id, kind, due_at=due_at, not_before=not_before)
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


def ring(session: Session, job_id: uuid.UUID) -> None:
    """Tell the relay, when this transaction commits, that a job is ready."""
    session.execute(select(func.pg_notify(doorbell.JOBS_CHANNEL, str(job_id))))


def to_ring(session: Session, quiet_seconds: float, limit: int = 200) -> Sequence[uuid.UUID]:
    """Mark and return ready jobs of idle models that nobody has rung for in the last seconds.

    A bell wakes a worker, which claims what is most urgent and goes on until nothing is left, so it does not
    matter which jobs are rung for, as long as it is done while any is ready.
    """
    now = moment()
    chosen = (
        select(Job.id)
        .where(
            turns.IS_READY,
            or_(Job.rung_at.is_(None), Job.rung_at < moment(-quiet_seconds)),
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
    model_id: uuid.UUID,
    kind: JobKind,
    *,
    due_at: datetime | None,
    not_before: datetime | None,
) -> uuid.UUID | None:
    """Lock a waiting job against being claimed, and ring, if it begins and is due as soon as is wanted."""
    wanted = {"model_id": model_id, "kind": kind, "due_at": due_at, "not_before": not_before}
    joined: uuid.UUID | None = session.scalar(_JOIN_AND_RING if not_before is None else _JOIN, wanted)
    return joined


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
