"""Jobs as people look at them and act on them: lists, what was parked in a row, a lease that is revoked.

None of this is done in a job's name; each function that changes a job locks its row first, as whoever writes
in its name does (`leases.fence`).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.queue.models import Job, JobKind, JobState

OPEN = (JobState.READY, JobState.RUNNING, JobState.PARKED)


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list shows.

    Attributes:
        state: Where they stand; None for all that are not done.
        model_id: Of which model; None for all.
    """

    state: JobState | None = None
    model_id: uuid.UUID | None = None


def jobs_before(session: Session, chosen: JobFilter, before: uuid.UUID | None, limit: int) -> Sequence[Job]:
    """Return jobs newest first, beginning before one."""
    states = OPEN if chosen.state is None else (chosen.state,)
    query = select(Job).where(Job.state.in_(states)).order_by(Job.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Job.id < before)
    if chosen.model_id is not None:
        query = query.where(Job.model_id == chosen.model_id)
    return session.scalars(query).all()


def locked(session: Session, job_id: uuid.UUID) -> Job:
    """Lock and return a job.

    Raises:
        errors.NotFound: No such job.
    """
    job = session.get(Job, job_id, with_for_update=True, populate_existing=True)
    if job is None:
        raise errors.NotFound("No job has this id.")
    return job


def revoke(session: Session, job: Job, reason: str) -> None:
    """End a locked job whatever its owner is at; from the commit on, the owner can write nothing.

    Its heart notices at its next beat. The attempt counts against nobody: whoever is still to be served
    enqueues a job that nobody has touched.
    """
    if job.state == JobState.RUNNING:
        job.state, job.lease_until, job.finished_at = JobState.DONE, None, clock.now()
        job.lease_epoch += 1
        job.reason = reason[:500]
        session.flush()


def close_parked(session: Session, job: Job, reason: str) -> None:
    """End a locked job that was parked, because a person asked for its work anew; its evidence stays."""
    job.state = JobState.DONE
    job.reason = reason[:500]
    session.flush()


def num_parked_in_a_row(session: Session, model_id: uuid.UUID, kind: JobKind, limit: int) -> int:
    """Return how many of a model's last jobs of a kind were parked, one after the other, up to a limit."""
    ended = session.scalars(
        select(Job.state)
        .where(Job.model_id == model_id, Job.kind == kind, Job.finished_at.is_not(None))
        .order_by(Job.finished_at.desc())
        .limit(limit)
    ).all()
    return next((count for count, state in enumerate(ended) if state != JobState.PARKED), len(ended))
