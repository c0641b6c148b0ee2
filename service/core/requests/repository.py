"""The queries on requests and runs."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, String, Uuid, any_, bindparam, cast, func, literal, select, update
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import Base
from service.core.ledger.claims import Guarantee
from service.core.registry.models import Model
from service.core.requests.models import ForgetRequest, Run, TargetKind
from service.core.requests.states import CLOSED, IN_RUN, OPEN, Status

_REQUESTS = Base.metadata.tables[ForgetRequest.__tablename__].c
SETTLED_CLASSES = select(_REQUESTS.model_id, _REQUESTS.classes).where(
    _REQUESTS.model_id == any_(bindparam("model_ids", type_=ARRAY(Uuid()))),
    _REQUESTS.kind == TargetKind.CLASS,
    _REQUESTS.interim.is_not(None),
    _REQUESTS.interim["guarantee"].astext != Guarantee.SUPPRESSED,
    _REQUESTS.status == any_(literal(sorted(OPEN), ARRAY(String))),
)
"""Made once: every group of requests for classes that is taken in asks it."""


@dataclass(frozen=True)
class RequestFilter:
    """Which requests a list shows; a field that is None does not restrict.

    Attributes:
        model: Name of a model.
        status: A state.
        is_overdue: Open requests past their due date, or all others.
    """

    model: str | None = None
    status: Status | None = None
    is_overdue: bool | None = None


class Standing(NamedTuple):
    """Where a request stands: all of it that a change of state needs to know."""

    id: uuid.UUID
    status: Status


class Call(NamedTuple):
    """The call that brought a request."""

    id: uuid.UUID
    correlation_id: str | None
    trace_parent: str | None


def request_by_id(session: Session, request_id: uuid.UUID, *, lock: bool = False) -> ForgetRequest:
    """Return a request.

    Raises:
        errors.NotFound: No such request.
    """
    request = session.get(ForgetRequest, request_id, with_for_update=lock, populate_existing=lock)
    if request is None:
        raise errors.NotFound("No forget request has this id.")
    return request


def requests_by_id(session: Session, request_ids: Collection[uuid.UUID]) -> Sequence[ForgetRequest]:
    """Lock and return requests, read anew, in the order they came."""
    if not request_ids:
        return []
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.id.in_(request_ids))
        .order_by(ForgetRequest.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def requests_before(
    session: Session, chosen: RequestFilter, before: uuid.UUID | None, limit: int
) -> Sequence[ForgetRequest]:
    """Return requests newest first, beginning before one."""
    query = select(ForgetRequest).order_by(ForgetRequest.id.desc()).limit(limit)
    if before is not None:
        query = query.where(ForgetRequest.id < before)
    if chosen.model is not None:
        query = query.join(Model, Model.id == ForgetRequest.model_id).where(Model.name == chosen.model)
    if chosen.status is not None:
        query = query.where(ForgetRequest.status == chosen.status)
    if chosen.is_overdue is not None:
        overdue = (ForgetRequest.due_at < clock.now()) & ForgetRequest.status.not_in(CLOSED)
        query = query.where(overdue if chosen.is_overdue else ~overdue)
    return session.scalars(query).all()


def waiting_for(session: Session, model_id: uuid.UUID) -> Sequence[ForgetRequest]:
    """Lock and return every request that waits for a model, in the order they came."""
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.model_id == model_id, ForgetRequest.status == Status.QUEUED)
        .order_by(ForgetRequest.id)
        .with_for_update()
    ).all()


def in_run(session: Session, model_id: uuid.UUID) -> Sequence[ForgetRequest]:
    """Lock and return every request that an attempt at this model has taken and not closed."""
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.model_id == model_id, ForgetRequest.status.in_(IN_RUN))
        .order_by(ForgetRequest.id)
        .with_for_update()
    ).all()


def taken_by(session: Session, run: Run) -> Sequence[ForgetRequest]:
    """Lock and return every request that a run has taken and not closed, in the order they came."""
    return [one for one in in_run(session, run.model_id) if one.run_id == run.id]


def standing_in(session: Session, run: Run) -> Sequence[Standing]:
    """Lock every request that a run has taken and not closed, and return where each stands."""
    rows = session.execute(
        select(ForgetRequest.id, ForgetRequest.status)
        .where(
            ForgetRequest.model_id == run.model_id,
            ForgetRequest.status.in_(IN_RUN),
            ForgetRequest.run_id == run.id,
        )
        .order_by(ForgetRequest.id)
        .with_for_update()
    )
    return [Standing(row.id, Status(row.status)) for row in rows]


def change(session: Session, standing: Sequence[Standing], columns: Mapping[str, Any]) -> int:
    """Write the same values into many requests by one statement; return how many stood where they were seen.

    Objects of them that are in the session do not hear of it.
    """
    ids = cast([one.id for one in standing], ARRAY(Uuid()))
    changed = session.execute(
        update(ForgetRequest)
        .where(ForgetRequest.id == any_(ids), ForgetRequest.status.in_({one.status for one in standing}))
        .values(**columns)
        .returning(literal(1))
        .execution_options(synchronize_session=False)
    )
    return len(changed.all())


def calls_of(session: Session, run: Run) -> Sequence[Call]:
    """Return the calls that brought what a run was the last to serve, in the order they came."""
    rows = session.execute(
        select(ForgetRequest.id, ForgetRequest.correlation_id, ForgetRequest.trace_parent)
        .where(ForgetRequest.model_id == run.model_id, ForgetRequest.run_id == run.id)
        .order_by(ForgetRequest.id)
    )
    return [Call(*row) for row in rows]


def num_in_run(session: Session, model_id: uuid.UUID) -> int:
    """Return how many requests an attempt at this model has taken and not closed."""
    query = select(func.count()).where(ForgetRequest.model_id == model_id, ForgetRequest.status.in_(IN_RUN))
    return session.scalar(query) or 0


def open_runs(session: Session, model_id: uuid.UUID) -> Sequence[Run]:
    """Lock and return the runs of a model that have not ended: of the present attempt, or a lost one."""
    return session.scalars(
        select(Run)
        .where(Run.model_id == model_id, Run.finished_at.is_(None))
        .order_by(Run.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def serving(session: Session, request_id: uuid.UUID) -> Run | None:
    """Return, without a lock, the run that serves a request now, or None."""
    return session.scalar(
        select(Run)
        .join(ForgetRequest, ForgetRequest.run_id == Run.id)
        .where(ForgetRequest.id == request_id, ForgetRequest.status.in_(IN_RUN))
        .execution_options(populate_existing=True)
    )


def of_run(session: Session, run_id: uuid.UUID) -> Sequence[ForgetRequest]:
    """Lock and return every request that a run was the last to serve, in the order they came."""
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.run_id == run_id)
        .order_by(ForgetRequest.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def accepted(session: Session, model_id: uuid.UUID) -> Sequence[ForgetRequest]:
    """Lock and return the requests whose candidate a person accepted and nobody has published yet."""
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.model_id == model_id, ForgetRequest.status == Status.ACCEPTED)
        .order_by(ForgetRequest.id)
        .with_for_update()
    ).all()


def with_interim(session: Session, model_id: uuid.UUID) -> Sequence[ForgetRequest]:
    """Return the open requests that an interim version of a model has forgotten, in the order they came."""
    return session.scalars(
        select(ForgetRequest)
        .where(
            ForgetRequest.model_id == model_id,
            ForgetRequest.interim.is_not(None),
            ForgetRequest.status.in_(OPEN),
        )
        .order_by(ForgetRequest.id)
    ).all()


def settled_classes(session: Session, model_ids: Collection[uuid.UUID]) -> set[tuple[uuid.UUID, int]]:
    """Return each (model, class) that an interim version has forgotten, by more than a masked output."""
    rows = session.execute(SETTLED_CLASSES, {"model_ids": [*model_ids]})
    return {(model_id, label) for model_id, labels in rows for label in labels}


def held_too_long(session: Session) -> Sequence[ForgetRequest]:
    """Lock and return the held requests whose cancel window is over."""
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.status == Status.HELD, ForgetRequest.held_until < clock.now())
        .with_for_update(skip_locked=True)
    ).all()


def run_by_id(session: Session, run_id: uuid.UUID) -> Run:
    """Return a run.

    Raises:
        errors.NotFound: No such run.
    """
    run = session.get(Run, run_id)
    if run is None:
        raise errors.NotFound("No run has this id.")
    return run


def lock_run_of(session: Session, request_id: uuid.UUID) -> Run | None:
    """Lock and return the run that last served a request, or None.

    Whoever decides on a request locks its run first and requests after it, as a worker does.
    """
    its_run = select(ForgetRequest.run_id).where(ForgetRequest.id == request_id).scalar_subquery()
    return session.scalar(
        select(Run).where(Run.id == its_run).with_for_update().execution_options(populate_existing=True)
    )
