"""Rules of taking a request back: until a version that has forgotten it is published, and at once.

A request that waits is simply closed. One that a run serves takes its run with it: what the run computes has
forgotten somebody who may be remembered after all. The run is broken, its job's lease is revoked, the others
of the run wait again in their old order, and their attempts are not counted; the worker's heart learns of it
at its next beat and kills the engine.

Order of locks: the job's row, the run's, then requests', as in the transaction that publishes. So one of the
two comes first, and the other finds either a completed request or a lease that is no longer its own.
"""

import uuid

from sqlalchemy.orm import Session

from service.core import errors
from service.core.queue import board
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind
from service.core.requests import broken, lifecycle, repository, tally
from service.core.requests.models import ForgetRequest, Run, RunState
from service.core.requests.states import CANCELLABLE, IN_RUN, Status

TOO_LATE = "too_late_to_cancel"
TAKEN_BACK = "one of its requests was cancelled"


def cancel(session: Session, request_id: uuid.UUID, principal: str) -> ForgetRequest:
    """Take a request back; where a run serves it, break the run off. Cancelling twice is cancelling once.

    Raises:
        errors.NotFound: No such request.
        errors.Conflict: It is too late; the message tells the state.
    """
    request, run, job = _lock(session, request_id)
    if request.status == Status.CANCELLED:
        return request
    if request.status not in CANCELLABLE:
        raise errors.Conflict(
            "A request can be cancelled until a version that has forgotten it is published; "
            f"this one is {request.status}.",
            code=TOO_LATE,
        )
    if request.interim is not None:
        raise errors.Conflict(
            "An interim version that has forgotten it is served already, and what it replaced is deleted.",
            code=TOO_LATE,
        )
    if run is None or job is None:
        lifecycle.move(session, request, Status.CANCELLED, by=principal)
    else:
        _break_off(session, request, run, job, principal)
    return request


def _lock(session: Session, request_id: uuid.UUID) -> tuple[ForgetRequest, Run | None, Job | None]:
    """Lock a request, and before it the job and the run that serve it, if one does.

    Which run that is can change until the request is locked: what was locked by then is let go, and all is
    begun again.
    """
    while True:
        seen = repository.serving(session, request_id)
        with session.begin_nested() as step:
            job = board.locked(session, seen.job_id) if seen is not None else None
            run = repository.lock_run_of(session, request_id)
            request = repository.request_by_id(session, request_id, lock=True)
            if request.status not in IN_RUN:
                return request, None, None
            if job is not None and run is not None and run.job_id == job.id and request.run_id == run.id:
                return request, run, job
            step.rollback()


def _break_off(session: Session, request: ForgetRequest, run: Run, job: Job, principal: str) -> None:
    """Close a request in mid-run, let the others of the run wait again, and end the attempt at its job."""
    tally.close(session, run, RunState.BROKEN, TAKEN_BACK, outcome="cancelled")
    lifecycle.move(session, request, Status.CANCELLED, by=principal, run=str(run.id))
    request.run_id = None
    session.flush()
    others = broken.put_back(session, request.model_id, TAKEN_BACK, why="run_broken_off")
    board.revoke(session, job, TAKEN_BACK)
    if others:
        # A job of its own: to go back to no attempts, this one might have to be what already waits untouched.
        queue.enqueue(session, job.model_id, JobKind(job.kind), due_at=min(one.due_at for one in others))
    broken.ask_sweep(session, job.model_id)
