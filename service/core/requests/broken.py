"""Rules of a run that broke: its job is given back, taken away or parked, and its requests are told.

Each function is one transaction's worth of change. What an attempt left open is closed as broken; its
requests wait again in their old order, or fail where no further attempt can help.
"""

import uuid

from sqlalchemy.orm import Session

from service.core.queue import repository as queue
from service.core.queue.models import JobKind, JobState
from service.core.queue.repository import Lease
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.requests import acceptance, interims, lifecycle, repository
from service.core.requests.models import RunState
from service.core.requests.states import Status


def fail(session: Session, lease: Lease, reason: str, *, code: str = "attempts_exhausted") -> None:
    """Park a job that cannot succeed and tell whoever counted on it: its requests, or its model.

    Requests that wait are told too, unless another job is there to serve them: a job that is lost before it
    could take them would otherwise leave them waiting for ever.

    Args:
        session: The transaction.
        lease: The job's lease.
        reason: What went wrong, without personal data.
        code: Reason code the requests show.
    """
    queue.park(session, lease, reason)
    if lease.kind == JobKind.PREPARE:
        registry.refuse_upload(session, session.get_one(Model, lease.model_id), reason)
    if lease.kind == JobKind.ACCEPT:
        acceptance.take_back(session, repository.accepted(session, lease.model_id), code)
    carried = repository.in_run(session, lease.model_id)
    # A request whose interim version is served waits for another job than one that nothing was done for.
    waiting = [
        one
        for one in repository.waiting_for(session, lease.model_id)
        if lease.kind == (JobKind.EXACT if interims.is_settled(one) else JobKind.UNLEARN)
    ]
    # The jobs are asked for after the requests: a request that is seen was committed together with its job.
    if queue.is_waiting(session, lease.model_id, lease.kind):
        waiting = []
    for request in (*carried, *waiting):
        if request.run_id is not None:
            repository.run_by_id(session, request.run_id).close(RunState.BROKEN, reason)
        lifecycle.move(session, request, Status.FAILED, reason=code)


def retry(session: Session, lease: Lease, reason: str) -> None:
    """Give a job back for another attempt; its requests wait again, in their old order."""
    put_back(session, lease.model_id, reason)
    queue.give_back(session, lease, reason)


def reap(session: Session, max_attempts: int) -> list[tuple[Lease, JobState]]:
    """Take every expired lease away: its job is ready again, or parked when its attempts are used up."""
    reaped = []
    for lease in queue.expired(session):
        if lease.attempts >= max_attempts:
            fail(session, lease, f"The worker was lost {lease.attempts} times at this job.")
            reaped.append((lease, JobState.PARKED))
        else:
            put_back(session, lease.model_id, "the worker's lease ran out")
            queue.take_away(session, lease, "the worker's lease ran out")
            reaped.append((lease, JobState.READY))
    return reaped


def put_back(session: Session, model_id: uuid.UUID, reason: str) -> None:
    """Close what a broken attempt left open: its requests wait again."""
    for request in repository.in_run(session, model_id):
        if request.run_id is not None:
            repository.run_by_id(session, request.run_id).close(RunState.BROKEN, reason)
        request.run_id = None
        lifecycle.move(
            session, request, Status.QUEUED, reason=interims.reason_of(request), why="attempt_lost"
        )
