"""Gathers what the view of a request needs: its model's name and its run."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.api import repository
from service.api.schemas.request import RequestView, request_view
from service.core.registry.models import Model
from service.core.requests.models import ForgetRequest, Run


def show_request(session: Session, request: ForgetRequest) -> RequestView:
    """Show one request; what the session has read already is not read again."""
    run = session.get_one(Run, request.run_id) if request.run_id else None
    return request_view(request, session.get_one(Model, request.model_id).name, run)


def show_requests(session: Session, requests: Sequence[ForgetRequest]) -> list[RequestView]:
    """Show requests in their order, by one query a table."""
    models = repository.models_by_id(session, {request.model_id for request in requests})
    runs = repository.runs_by_id(session, {request.run_id for request in requests if request.run_id})
    return [
        request_view(
            request, models[request.model_id].name, runs.get(request.run_id) if request.run_id else None
        )
        for request in requests
    ]
