"""Accepting what the audit did not pass: a named person decides, and the certificate says so for ever.

The rules. A run that no rung of passed its audit keeps its best candidate while all its requests need review.
Any other decision on one of them gives the candidate up: approved, the request is to be served by another
run; denied, the candidate has forgotten what its owner may lawfully keep, and publishing it would lose that
for everybody. So what is accepted has forgotten exactly what is still asked for, and closes all requests of
its run together. It may follow only the version that it was made from.

Nothing is computed here: accepting makes a job, and a worker publishes under its fence. Until then the
requests are `accepted`; where the publication comes to nothing they need review again, and say why.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind
from service.core.registry import repository as registry
from service.core.registry.models import Candidate, Model
from service.core.requests import assignments, lifecycle, repository
from service.core.requests.models import ForgetRequest, Run
from service.core.requests.states import Status

STALE = "candidate_stale"

AFTER = frozenset({Status.ACCEPTED, Status.COMPLETED})
"""Where a request stands once its candidate was accepted."""


@dataclass(frozen=True)
class Acceptance:
    """What a person accepted: what the run had to forget, and the candidate that did."""

    assignment: assignments.Assignment
    candidate: Candidate
    rung: int


def accept(session: Session, request_id: uuid.UUID, principal: str, reason: str) -> ForgetRequest:
    """Have the candidate of a request's run published although its audit did not pass it.

    Accepting twice is accepting once.

    Raises:
        errors.NotFound: No such request.
        errors.Conflict: It needs no review; its run kept no candidate, or a decision gave it up; another
            version was published since; or another candidate of the model is being published.
    """
    run = repository.lock_run_of(session, request_id)
    request = repository.request_by_id(session, request_id, lock=True)
    if run is not None and run.acceptance is not None and request.status in AFTER:
        return request
    if request.status != Status.NEEDS_REVIEW:
        raise errors.Conflict(
            f"A candidate is accepted of what needs review; this request is {request.status}.",
            code="no_decision_awaited",
        )
    model = session.get_one(Model, request.model_id)
    run, _ = require_acceptable(session, model, run)
    run.acceptance = {"by": principal, "reason": reason, "at": clock.rfc3339(clock.now())}
    its_requests = repository.of_run(session, run.id)
    for one in its_requests:
        lifecycle.move(
            session,
            one,
            Status.ACCEPTED,
            reason="accepted_by_person",
            by=principal,
            decision="accept",
            decision_reason=reason,
            run=str(run.id),
        )
    session.flush()
    queue.enqueue(session, model.id, JobKind.ACCEPT, due_at=min(one.due_at for one in its_requests))
    return request


def require_acceptable(session: Session, model: Model, run: Run | None) -> tuple[Run, Candidate]:
    """Return a run and the candidate of it that a person may accept.

    Raises:
        errors.Conflict: There is none; the message says why and what to do.
    """
    if run is not None and run.base_version != model.served_version:
        raise errors.Conflict(
            f"The candidate was made from version {run.base_version}, and version {model.served_version} is "
            "served by now. Approve the request for another run, or deny it.",
            code=STALE,
        )
    candidate = registry.candidate_of(session, run.id) if run is not None else None
    if run is None or candidate is None:
        raise errors.Conflict(
            "There is no candidate to accept: no rung made one that can be used, or another request of the "
            "same run was approved or denied, which gave it up. Approve the request for another run, or "
            "deny it.",
            code="no_candidate",
        )
    if any(one.run_id != run.id for one in repository.accepted(session, model.id)):
        raise errors.Conflict(
            "Another candidate of this model was accepted and is being published; this one cannot follow it.",
            code=STALE,
        )
    return run, candidate


def take_accepted(session: Session, lease: Lease) -> Acceptance | None:
    """Return what a person accepted and nobody has published yet.

    Returns:
        None when there is nothing, or it can no longer be published; the job is finished then, and requests
        whose candidate is gone need review again.

    Raises:
        errors.LeaseLost: The job is no longer ours.
    """
    leases.fence(session, lease)
    model = session.get_one(Model, lease.model_id)
    accepted = repository.accepted(session, model.id)
    run = repository.run_by_id(session, accepted[0].run_id) if accepted and accepted[0].run_id else None
    candidate = registry.candidate_of(session, run.id) if run else None
    if run is None or candidate is None or candidate.base_number != model.served_version:
        take_back(session, accepted, STALE)
        endings.finish(session, lease)
        return None
    rung = len(run.rungs) - 1 if run.rung is None else run.rung
    return Acceptance(assignments.assign(session, model, run, accepted), candidate, rung)


def take_back(session: Session, accepted: Sequence[ForgetRequest], reason: str) -> None:
    """Let accepted requests whose candidate could not be published need review again."""
    for request in accepted:
        if request.run_id is not None:
            repository.run_by_id(session, request.run_id).acceptance = None
        lifecycle.move(session, request, Status.NEEDS_REVIEW, reason=reason, why="not_published")
