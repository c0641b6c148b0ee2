"""Rules of a request's life: every change of state is legal, timed, and an entry in the ledger."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from service.core import clock, errors
from service.core.ledger import repository as ledger
from service.core.queue import repository as queue
from service.core.queue.models import JobKind
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.requests import batching, interims, repository
from service.core.requests.models import ForgetRequest
from service.core.requests.repository import Standing
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
    told = _told(Standing(request.id, Status(request.status)), following, reason, facts)
    for name, value in _changed(following, reason).items():
        setattr(request, name, value)
    return told


def move_all(
    session: Session,
    requests: Sequence[ForgetRequest],
    following: Status,
    *,
    reason: str | None = None,
    own_facts: Sequence[Mapping[str, Any]] | None = None,
    also: Mapping[str, Any] | None = None,
    **facts: Any,
) -> list[int]:
    """Change the state of many locked requests at once; return the ids of their ledger entries, in order.

    Args:
        session: The transaction.
        requests: The requests.
        following: Their next state.
        reason: Stable code of why.
        own_facts: What the ledger tells of each alone.
        also: Columns that change with the state, to the same value in all.
        **facts: What it tells of all.

    Raises:
        errors.Conflict: The state may not follow.
    """
    session.flush()  # what else is changed of them comes before, and is not written over later
    standing = [Standing(request.id, Status(request.status)) for request in requests]
    entry_ids = move_rows(
        session, standing, following, reason=reason, own_facts=own_facts, also=also, **facts
    )
    for name, value in _changed(following, reason, also).items():
        for request in requests:
            set_committed_value(request, name, value)  # the row has it already
    return entry_ids


def move_rows(
    session: Session,
    standing: Sequence[Standing],
    following: Status,
    *,
    reason: str | None = None,
    own_facts: Sequence[Mapping[str, Any]] | None = None,
    also: Mapping[str, Any] | None = None,
    **facts: Any,
) -> list[int]:
    """Do the same for locked rows of which no more is known than where they stand.

    A thousand objects cost more than all that is told of them; and none of these rows may be in the session
    as an object, which would not hear of the change.

    Raises:
        errors.Conflict: The state may not follow, or a row does not stand where it was seen.
    """
    told = [
        _told(one, following, reason, {**facts, **own})
        for one, own in zip(standing, own_facts or [{}] * len(standing), strict=True)
    ]
    if standing and repository.change(session, standing, _changed(following, reason, also)) != len(standing):
        raise errors.Conflict("Requests changed while they were being moved.", code="illegal_transition")
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


def _told(standing: Standing, following: Status, reason: str | None, facts: Mapping[str, Any]) -> ledger.Fact:
    """Return what the ledger is told of a change of state, if it is legal."""
    transition(standing.status, following)
    body = {"request": str(standing.id), "from": standing.status, **facts}
    if reason is not None:
        body["reason"] = reason
    return ledger.Fact(f"request.{following}", body, standing.id)


def _changed(following: Status, reason: str | None, also: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the columns that change with a state, and their values."""
    columns: dict[str, Any] = {"status": following, "reason": reason}
    if following == Status.COMPLETED:
        columns["completed_at"] = clock.now()
    if following in CLOSED:
        columns["positions"] = None
    return {**columns, **(also or {})}


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
