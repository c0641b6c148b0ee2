"""Rules of putting a parked job back: a person has looked at its evidence, and asks for its work anew.

What an operator expects of it is that whoever failed with the job is served after all. So its requests wait
again, in their old order, with a job that nobody has touched; the parked job is closed and keeps its
evidence. A request of it that a person has denied meanwhile stays closed.
"""

import uuid
from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.core import errors
from service.core.queue import board
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.requests import lifecycle
from service.core.requests.models import ForgetRequest, Run
from service.core.requests.states import Status

SERVING = frozenset({JobKind.UNLEARN, JobKind.EXACT})


def retry(session: Session, job_id: uuid.UUID, principal: str) -> tuple[Job, Sequence[ForgetRequest]]:
    """Close a parked job and have its work done after all.

    Args:
        session: The transaction.
        job_id: The job.
        principal: Who asks.

    Returns:
        The closed job, and the requests that wait again: those of its runs that failed, and those that failed
        while they waited for it.

    Raises:
        errors.NotFound: No such job.
        errors.Conflict: It is not parked.
    """
    job = board.locked(session, job_id)
    if job.state != JobState.PARKED:
        raise errors.Conflict(f"Only a parked job is put back; this one is {job.state}.", code="not_parked")
    board.close_parked(session, job, f"Put back by a person. It was parked: {job.reason}")
    requests = _failed_with(session, job) if job.kind in SERVING else []
    for request in requests:
        lifecycle.enqueue(session, request, by=principal, why="job_put_back", job=str(job.id))
    if job.kind == JobKind.PREPARE:
        registry.prepare_again(session, session.get_one(Model, job.model_id))
    elif job.kind not in SERVING:
        queue.enqueue(session, job.model_id, JobKind(job.kind))
    return job, requests


def _failed_with(session: Session, job: Job) -> Sequence[ForgetRequest]:
    """Lock and return the failed requests of a job's runs, and those that failed before any run took them."""
    of_its_runs = select(Run.id).where(Run.job_id == job.id)
    return session.scalars(
        select(ForgetRequest)
        .where(
            ForgetRequest.model_id == job.model_id,
            ForgetRequest.status == Status.FAILED,
            or_(ForgetRequest.run_id.is_(None), ForgetRequest.run_id.in_(of_its_runs)),
        )
        .order_by(ForgetRequest.id)
        .with_for_update()
    ).all()
