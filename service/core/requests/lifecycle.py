"""Rules of a request's life: every change of state is legal, timed, and an entry in the ledger."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from service.core import clock, errors
from service.core.ledger import repository as ledger
from service.core.queue import repository as queue
from service.core.queue.models import JobKind
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.requests import batching, interims, repository
from service.core.requests.models import ForgetRequest
from service.core.requests.states import CLOSED, DECIDABLE, Status, transition

EXTENSION_MONTHS = 2
"""Art. 12(3): two further months at most, with reasons told within the first."""


def move(
    session: Session, request: ForgetRequest, following: Status, *, reason: str | None = None, **facts: Any
) -> int:
    """Change a request's state and return the id of the ledger entry that tells of it.

    Raises:
        errors.Conflict: The state may not follow.
    """
    told = step(request, following, reason=reason, **facts)
    return ledger.append(session, told.kind, told.body, request_id=told.request_id)


def step(
    request: ForgetRequest, following: Status, *, reason: str | None = None, **facts: Any
) -> ledger.Fact:
    """Change a request's state and return what the ledger must be told of it, in the same transaction.

    Raises:
        errors.Conflict: The state may not follow.
    """
    previous = request.status
    request.status = transition(Status(previous), following)
    request.reason = reason
    if following == Status.COMPLETED:
        request.completed_at = clock.now()
    if following in CLOSED:
        request.positions = None
    body: dict[str, Any] = {"request": str(request.id), "from": previous, **facts}
    if reason is not None:
        body["reason"] = reason
    return ledger.Fact(f"request.{following}", body, request.id)


def move_all(
    session: Session,
    requests: Sequence[ForgetRequest],
    following: Status,
    *,
    reason: str | None = None,
    own_facts: Sequence[Mapping[str, Any]] | None = None,
    **facts: Any,
) -> list[int]:
    """Change the state of many requests at once; return the ids of their ledger entries, in order.

    Args:
        session: The transaction.
        requests: The requests.
        following: Their next state.
        reason: Stable code of why.
        own_facts: What the ledger tells of each alone.
        **facts: What it tells of all.

    Raises:
        errors.Conflict: The state may not follow.
    """
    told = [
        step(request, following, reason=reason, **{**facts, **own})
        for request, own in zip(requests, own_facts or [{}] * len(requests), strict=True)
    ]
    if following in CLOSED:
        for request in requests:  # also where there are none: rows that change alike go in one statement
            flag_modified(request, "positions")
    session.flush()
    return ledger.append_all(session, told)


def enqueue(session: Session, request: ForgetRequest, **facts: Any) -> None:
    """Make a request wait for its model's next run: a retraining, if an interim version forgot it already."""
    move(session, request, Status.QUEUED, reason=interims.reason_of(request), **facts)
    request.held_until = None
    session.flush()
    call_for_runs(session, [request])


def call_for_runs(session: Session, requests: Sequence[ForgetRequest]) -> None:
    """See that a job waits for each model that these requests wait for, due when the first of them is.

    The first to wait may wait a while for others to join (`batching`). Jobs are locked in the order of their
    models, so that two transactions never wait for each other in a circle.
    """
    callers: defaultdict[tuple[uuid.UUID, JobKind], list[ForgetRequest]] = defaultdict(list)
    for request in requests:
        kind = JobKind.EXACT if interims.is_settled(request) else JobKind.UNLEARN
        callers[request.model_id, kind].append(request)
    for (model_id, kind), waiting in sorted(callers.items(), key=lambda item: item[0]):
        model = session.get_one(Model, model_id)
        queue.enqueue(
            session,
            model_id,
            kind,
            due_at=min(one.due_at for one in waiting),
            not_before=batching.closes_at(model, waiting, clock.now()) if kind == JobKind.UNLEARN else None,
        )


def approve(session: Session, request_id: uuid.UUID, principal: str, reason: str) -> ForgetRequest:
    """Release a held request, or send one that failed or needs review through another run.

    What its run had made is given up: a candidate may be accepted only as long as nobody decided otherwise.

    Raises:
        errors.NotFound: No such request.
        errors.Conflict: Its state awaits no decision.
    """
    request = _awaiting_decision(session, request_id)
    enqueue(session, request, by=principal, decision="approve", decision_reason=reason)
    return request


def deny(session: Session, request_id: uuid.UUID, principal: str, reason: str) -> ForgetRequest:
    """Reject a request, with the reason code that its sender will be told.

    What its run had made is given up: it has forgotten what need not be forgotten now.

    Raises:
        errors.NotFound: No such request.
        errors.Conflict: Its state awaits no decision.
    """
    request = _awaiting_decision(session, request_id)
    if interims.is_settled(request):
        queue.enqueue(session, request.model_id, JobKind.REFRESH)  # what it named may be read again
    move(session, request, Status.REJECTED, reason=reason, by=principal, decision="deny")
    return request


def extend(session: Session, request_id: uuid.UUID, principal: str, reason: str) -> ForgetRequest:
    """Move the due date of an open request by two months, once.

    Raises:
        errors.NotFound: No such request.
        errors.Conflict: It is closed, or was extended before.
    """
    request = repository.request_by_id(session, request_id, lock=True)
    latest = clock.add_months(request.submitted_at, 1 + EXTENSION_MONTHS)
    if request.status in CLOSED or request.due_at >= latest:
        raise errors.Conflict("Only an open request can be extended, and only once.", code="not_extendable")
    request.due_at = latest
    body = {"request": str(request.id), "due_at": clock.rfc3339(latest), "reason": reason, "by": principal}
    ledger.append(session, "request.extended", body, request_id=request.id)
    return request


def release_held(session: Session) -> int:
    """Queue the requests whose cancel window is over and return how many those were."""
    released = repository.held_too_long(session)
    for request in released:
        enqueue(session, request)
    return len(released)


def _awaiting_decision(session: Session, request_id: uuid.UUID) -> ForgetRequest:
    run = repository.lock_run_of(session, request_id)
    request = repository.request_by_id(session, request_id, lock=True)
    if request.status not in DECIDABLE:
        raise errors.Conflict(
            f"A decision is taken on what is held, failed or needs review; this request is {request.status}.",
            code="no_decision_awaited",
        )
    if run is not None:
        registry.drop_candidate(session, run.id)
    return request
