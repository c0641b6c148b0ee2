"""Rules of a run that broke: its job is given back, taken away or parked, and its requests are told.

Each function is one transaction's worth of change. What an attempt left open is closed as broken; its
requests wait again in their old order, or fail where no further attempt can help. What is known of the
attempt is kept with the job (`queue.evidence`).

One request of many may be what breaks the run: a row that cannot be read, a set for which a method needs more
memory than there is. So a run that serves several is not failed with it. After the second loss each attempt
serves half as many as the one before, down to one, which fails alone; the others go on in a job of their own.
Where request after request fails in this way, none of them is to blame, and all that wait are told.

Order of locks: the job's row, the run's, then requests'.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.ledger import repository as ledger
from service.core.queue import board, endings, evidence, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind, JobState
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.requests import acceptance, interims, lifecycle, repository, tally
from service.core.requests.models import ForgetRequest, RunState
from service.core.requests.states import Status

EXHAUSTED = "attempts_exhausted"
LEASE_RAN_OUT = "the worker's lease ran out"
ALONE_IN_A_ROW = 3
"""So many requests failed alone, one after the other, before it is clear that none of them is to blame."""
HANDED_OVER = "its worker was told to stop"
"""Why a run ended whose job was given to another worker."""
UNSWEPT = frozenset({JobKind.REFRESH, JobKind.STUDY})
"""Jobs that store files, and after whose success nothing sweeps the model's space."""


@dataclass(frozen=True)
class Breakdown:
    """How an attempt ended.

    Attributes:
        reason: What went wrong, without personal data.
        code: Reason code that its requests show if it was the last attempt.
        is_retryable: Whether another attempt may help.
        is_suspicious: Whether one of its requests may be what broke it.
        facts: What else is known of it; see `queue.evidence`.
    """

    reason: str
    code: str = EXHAUSTED
    is_retryable: bool = True
    is_suspicious: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


def settle(session: Session, lease: Lease, breakdown: Breakdown, max_attempts: int) -> JobState:
    """Give a job back or park it, by what its attempt's end allows; return which.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    leases.fence(session, lease)
    is_last = not breakdown.is_retryable or lease.attempts >= max_attempts
    if is_last and not (breakdown.is_suspicious and _can_serve_fewer(session, lease)):
        fail(
            session,
            lease,
            breakdown.reason,
            code=breakdown.code,
            is_suspicious=breakdown.is_suspicious,
            facts=breakdown.facts,
        )
        return JobState.PARKED
    retry(session, lease, breakdown.reason, is_suspicious=breakdown.is_suspicious, facts=breakdown.facts)
    return JobState.READY


def fail(
    session: Session,
    lease: Lease,
    reason: str,
    *,
    code: str = EXHAUSTED,
    is_suspicious: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Park a job that cannot succeed and tell whoever counted on it: its requests, or its model.

    Requests that wait are told too, unless another job is there to serve them: a job that is lost before it
    could take them would otherwise leave them waiting for ever.

    Args:
        session: The transaction.
        lease: The job's lease.
        reason: What went wrong, without personal data.
        code: Reason code the requests show.
        is_suspicious: Whether one of its requests may be what broke it.
        facts: What else is known of the attempt.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    was_narrowed = evidence.is_narrowed(evidence.of(session, lease))
    _note(session, lease, reason, is_suspicious=is_suspicious, facts={**(facts or {}), "code": code})
    endings.park(session, lease, reason)
    if lease.kind == JobKind.PREPARE:
        registry.refuse_upload(session, session.get_one(Model, lease.model_id), reason)
    if lease.kind == JobKind.ACCEPT:
        acceptance.take_back(session, repository.accepted(session, lease.model_id), code)
    _close_runs(session, lease.model_id, reason)
    carried = repository.in_run(session, lease.model_id)
    # A request whose interim version is served waits for another job than one that nothing was done for.
    waiting = [
        one
        for one in repository.waiting_for(session, lease.model_id)
        if lease.kind == (JobKind.EXACT if interims.is_settled(one) else JobKind.UNLEARN)
    ]
    # The jobs are asked for after the requests: a request that is seen was committed together with its job.
    if queue.is_waiting(session, lease.model_id, lease.kind) and not (
        was_narrowed and _is_nobodys_fault(session, lease)
    ):
        waiting = []
    lifecycle.move_all(session, [*carried, *waiting], Status.FAILED, reason=code)
    if lease.kind != JobKind.PURGE:
        ask_sweep(session, lease.model_id)


def retry(
    session: Session,
    lease: Lease,
    reason: str,
    *,
    is_suspicious: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Give a job back for another attempt; its requests wait again, in their old order.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    _note(session, lease, reason, is_suspicious=is_suspicious, facts=facts or {})
    put_back(session, lease.model_id, reason)
    endings.give_back(session, lease, reason)
    _sweep_after(session, lease)


def hand_over(session: Session, lease: Lease) -> None:
    """Return the job of a worker that was told to stop to the ready ones, at once, as if never attempted.

    Raises:
        errors.LeaseLost: The lease is no longer ours.
    """
    endings.hand_over(session, lease, HANDED_OVER)
    put_back(session, lease.model_id, HANDED_OVER, why="handed_over")
    _sweep_after(session, lease)
    counting.add(session, Counter.HANDED_OVER)


def reap(session: Session, max_attempts: int) -> list[tuple[Lease, JobState]]:
    """Take every expired lease away: its job is ready again, or parked when its attempts are used up."""
    reaped = []
    for lease in endings.expired(session):
        if lease.attempts >= max_attempts and not _can_serve_fewer(session, lease):
            fail(
                session, lease, f"The worker was lost {lease.attempts} times at this job.", is_suspicious=True
            )
            reaped.append((lease, JobState.PARKED))
        else:
            _note(session, lease, LEASE_RAN_OUT, is_suspicious=True, facts={})
            put_back(session, lease.model_id, LEASE_RAN_OUT)
            endings.take_away(session, lease, LEASE_RAN_OUT)
            _sweep_after(session, lease)
            reaped.append((lease, JobState.READY))
    return reaped


def put_back(
    session: Session, model_id: uuid.UUID, reason: str, *, why: str = "attempt_lost"
) -> Sequence[ForgetRequest]:
    """Close what a broken attempt left open: its requests wait again, and are returned.

    Ledger and counters tell why.
    """
    _close_runs(session, model_id, reason, outcome=why)
    requests = repository.in_run(session, model_id)
    told = [
        lifecycle.step(request, Status.QUEUED, reason=interims.reason_of(request), why=why)
        for request in requests
    ]
    for request in requests:
        request.run_id = None
    session.flush()
    ledger.append_all(session, told)
    return requests


def ask_sweep(session: Session, model_id: uuid.UUID) -> None:
    """Have what broken attempts left in the model's space deleted, in its turn.

    Before its first version a model's space holds an upload that no version needs yet: nothing is swept then.
    """
    if session.get_one(Model, model_id).served_version is not None:
        queue.enqueue(session, model_id, JobKind.PURGE)


def _sweep_after(session: Session, lease: Lease) -> None:
    """Ask for a sweep of what a lost attempt left, where none follows the job's success either."""
    if lease.kind in UNSWEPT:
        ask_sweep(session, lease.model_id)


def _note(
    session: Session, lease: Lease, reason: str, *, is_suspicious: bool, facts: Mapping[str, Any]
) -> None:
    """Keep what is known of an attempt, before what it left open is closed."""
    runs = repository.open_runs(session, lease.model_id)
    known = {
        "stage": runs[-1].stage if runs else None,
        "served": repository.num_in_run(session, lease.model_id) if is_suspicious and runs else None,
    }
    evidence.note(session, lease, reason, {**known, **facts})


def _close_runs(session: Session, model_id: uuid.UUID, reason: str, *, outcome: str | None = None) -> None:
    for run in repository.open_runs(session, model_id):
        tally.close(session, run, RunState.BROKEN, reason, outcome=outcome)
    session.flush()


def _can_serve_fewer(session: Session, lease: Lease) -> bool:
    """Whether another attempt may leave out some of those that this one served.

    What is masked already is left out by no run, and a retraining leaves everybody's data out anyway.
    """
    if lease.kind != JobKind.UNLEARN:
        return False
    served = repository.num_in_run(session, lease.model_id)
    allowed = evidence.share(evidence.of(session, lease))
    return served > 1 and (allowed is None or served <= allowed)


def _is_nobodys_fault(session: Session, lease: Lease) -> bool:
    """Whether this and the jobs before it were all parked, each with requests that had failed alone."""
    count = board.num_parked_in_a_row(session, lease.model_id, lease.kind, ALONE_IN_A_ROW)
    return count >= ALONE_IN_A_ROW
