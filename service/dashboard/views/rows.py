"""Requests as the lines of a list, the same in the overview and on a model's page."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service.core.requests.models import ForgetRequest, Run, TargetKind
from service.core.requests.states import CLOSED, IN_RUN, Status
from service.dashboard import figures, repository, words

SOON_DAYS = 7


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: What it does now, in words.
        fraction: Of that stage, in [0, 1].
    """

    stage: str
    fraction: float


@dataclass(frozen=True)
class RequestRow:
    """One request in a list."""

    id: uuid.UUID
    model: str
    what: str
    """Labels or a count, never ids."""
    how_much: str | None
    """How many training samples that is, where `what` does not say it."""
    status: str
    reason: str | None
    submitted_at: datetime
    due_at: datetime
    completed_at: datetime | None
    took: timedelta | None
    """From receipt to completion."""
    was_late: bool
    is_open: bool
    is_overdue: bool
    is_due_soon: bool
    progress: Progress | None

    @property
    def short_id(self) -> str:
        """The end of the id: its beginning is the time and nearly the same for all."""
        return self.id.hex[-8:]


def rows_of(
    session: Session, requests: Sequence[ForgetRequest], names: Mapping[uuid.UUID, str], now: datetime
) -> tuple[RequestRow, ...]:
    """Return requests as rows."""
    runs = repository.runs_by_id(session, _under_way(requests))
    return tuple(
        row_of(request, names[request.model_id], runs.get(request.run_id) if request.run_id else None, now)
        for request in requests
    )


def row_of(request: ForgetRequest, model: str, run: Run | None, now: datetime) -> RequestRow:
    """Return one request as a row; `run` matters while it is under way."""
    is_open = Status(request.status) not in CLOSED
    days = (request.due_at - now).days
    what = words.target(request.kind, request.classes, request.num_samples)
    return RequestRow(
        id=request.id,
        model=model,
        what=words.headline(what),
        how_much=_how_much(request),
        status=request.status,
        reason=request.reason,
        submitted_at=request.submitted_at,
        due_at=request.due_at,
        completed_at=request.completed_at,
        took=request.completed_at - request.received_at if request.completed_at else None,
        was_late=request.completed_at is not None and request.completed_at > request.due_at,
        is_open=is_open,
        is_overdue=is_open and request.due_at < now,
        is_due_soon=is_open and 0 <= days < SOON_DAYS,
        progress=progress_of(run) if request.status in IN_RUN and run else None,
    )


def progress_of(run: Run) -> Progress:
    """Return how far a run is."""
    return Progress(words.headline(run.stage), run.fraction)


def _under_way(requests: Iterable[ForgetRequest]) -> set[uuid.UUID]:
    return {one.run_id for one in requests if one.run_id is not None and one.status in IN_RUN}


def _how_much(request: ForgetRequest) -> str | None:
    if request.kind == TargetKind.SAMPLES or not request.num_samples:
        return None
    return figures.counted(request.num_samples, "sample")
