"""Whose turn it is: among the jobs of a model, and among the models that nobody works on.

*Within a model* jobs go as they came, with two exceptions: what a person accepted goes first, before a run
moves the version that it is to follow, and what nobody waits for, a refresh and then a study, goes last. A
retry that is not due yet holds its place, so that order is kept. What is put off and nobody has touched holds
none: a run that waits for others to join, or an exact retraining.

*Between models* what people wait for goes before any refresh, and that before any study (`RANK`); of what
people wait for, what must be answered first goes first. A job that no request dates (a preparation, a purge)
counts as due a month after it came, like a request that came with it: nothing that comes later can put it off
for ever, and it holds up nothing that is due. A model goes by the most urgent of its jobs, also where another
of them must be done before.

*At hand* is a model that a worker's engine has in memory. Its jobs go before others of the same rank, but not
before a more urgent one that is overdue or has waited for a while: that is what affinity may cost.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Uuid,
    and_,
    column,
    false,
    func,
    literal,
    or_,
    select,
    table,
    text,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from service.core import clock
from service.core.queue.models import Job, JobKind, JobState

RANK = {JobKind.REFRESH: 1, JobKind.STUDY: 2}
"""How far a kind stands behind what people wait for."""

UNDATED_MONTHS = 1
"""When a job that no request dates counts as due: as a request would that came with it."""

IN_MODEL = (Job.rank, Job.kind != JobKind.ACCEPT, Job.position)
"""Order among a model's jobs."""

BETWEEN_MODELS = (Job.rank, Job.turn_at, Job.position)
"""Order among the jobs of models that nobody works on."""

_READY = literal(JobState.READY.value, literal_execute=True)
IS_READY = Job.state == _READY
"""A job that waits; written into the statement, so that every plan of it may use the indexes of these."""

_WALKING = text("SELECT set_config('enable_sort', :is_on, true), set_config('enable_hashjoin', :is_on, true)")
"""Without sorts, the index of turns is walked up to the first job that will do. Statistics lag behind a
burst: where they say that few jobs are ready, thousands would be fetched and sorted at each claim."""

_MODELS = table("models", column("id", Uuid()))


@dataclass(frozen=True)
class Candidate:
    """A job whose model may be claimed.

    Attributes:
        job_id: The most urgent job of the model, which is not always the one that comes first there.
        model_id: The model.
        rank: Of the job.
        is_pressing: Whether it is overdue or has waited for long.
    """

    job_id: uuid.UUID
    model_id: uuid.UUID
    rank: int
    is_pressing: bool


def turn_at(due_at: datetime | None) -> datetime:
    """Return the moment by which a job that comes now takes its turn."""
    return due_at or clock.add_months(clock.now(), UNDATED_MONTHS)


def is_due(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether a job may begin."""
    return or_(Job.not_before.is_(None), Job.not_before <= now)


def holds_place(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether a ready job lets no later one of its model go first."""
    return or_(is_due(now), and_(Job.attempts > 0, Job.kind != JobKind.EXACT))


def is_idle() -> ColumnElement[bool]:
    """Whether nobody works on a job's model."""
    running = aliased(Job)
    busy = select(running.id).where(running.model_id == Job.model_id, running.state == JobState.RUNNING)
    return ~busy.correlate(Job).exists()


def most_urgent(
    session: Session, now: ColumnElement[datetime], patient_until: ColumnElement[datetime]
) -> Candidate | None:
    """Lock the model whose turn it is against other claims and return its most urgent job.

    A model that another claim has locked is passed over: workers that choose at once choose different ones.

    Args:
        session: The transaction; the lock lasts until its end.
        now: The moment.
        patient_until: What could begin before then has waited for long.
    """
    session.execute(_WALKING, {"is_on": "off"})
    return _first(session, now, patient_until)


def most_urgent_at_hand(
    session: Session,
    now: ColumnElement[datetime],
    patient_until: ColumnElement[datetime],
    at_hand: Collection[uuid.UUID],
    rank: int,
) -> Candidate | None:
    """Do the same for the jobs of one rank of some models."""
    session.execute(_WALKING, {"is_on": "on"})
    return _first(session, now, patient_until, Job.model_id.in_(at_hand), Job.rank == rank)


def _first(
    session: Session,
    now: ColumnElement[datetime],
    patient_until: ColumnElement[datetime],
    *which: ColumnElement[bool],
) -> Candidate | None:
    earlier = aliased(Job)
    is_behind_retry = (
        select(earlier.id)
        .where(
            earlier.model_id == Job.model_id,
            earlier.state == _READY,
            earlier.attempts > 0,
            earlier.kind != JobKind.EXACT,
            earlier.not_before > now,
            tuple_(earlier.rank, earlier.kind != JobKind.ACCEPT, earlier.position) < tuple_(*IN_MODEL),
        )
        .correlate(Job)
        .exists()
    )
    is_pressing = func.coalesce(Job.due_at < now, false()) | (
        func.greatest(Job.created_at, Job.not_before) < patient_until
    )
    row = session.execute(
        select(Job.id, Job.model_id, Job.rank, is_pressing)
        .join(_MODELS, _MODELS.c.id == Job.model_id)
        .where(IS_READY, is_due(now), is_idle(), ~is_behind_retry, *which)
        .order_by(*BETWEEN_MODELS)
        .limit(1)
        .with_for_update(of=_MODELS, key_share=True, skip_locked=True)
    ).one_or_none()
    return None if row is None else Candidate(*row)
