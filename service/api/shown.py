"""Gathers what the view of a request needs: its model, its run, and the candidate that may be accepted."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.api import repository
from service.api.schemas.request import RequestView, request_view
from service.core.registry import repository as registry
from service.core.registry.models import Model
from service.core.requests import review
from service.core.requests.models import ForgetRequest, Run
from service.core.requests.states import DECIDABLE


def show_request(session: Session, request: ForgetRequest) -> RequestView:
    """Show one request; what the session has read already is not read again."""
    model = session.get_one(Model, request.model_id)
    run = session.get_one(Run, request.run_id) if request.run_id else None
    candidate = registry.candidate_of(session, run.id) if run else None
    return request_view(request, model.name, run, review.look(request, model, run, candidate))


def is_waiting(request: ForgetRequest) -> bool:
    """Whether a request has no run and awaits no decision: all that is shown of it is its own row."""
    return request.run_id is None and request.status not in DECIDABLE


def show_requests(session: Session, requests: Sequence[ForgetRequest]) -> list[RequestView]:
    """Show requests in their order, by one query a table."""
    models = repository.models_by_id(session, {request.model_id for request in requests})
    runs = repository.runs_by_id(session, {request.run_id for request in requests if request.run_id})
    candidates = repository.candidates_by_run(session, runs)
    shown = []
    for request in requests:
        model, run = models[request.model_id], runs.get(request.run_id) if request.run_id else None
        candidate = candidates.get(run.id) if run else None
        shown.append(request_view(request, model.name, run, review.look(request, model, run, candidate)))
    return shown
