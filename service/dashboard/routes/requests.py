"""The pages of forget requests: all of them, and one."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from service.core.requests.repository import RequestFilter
from service.core.requests.states import Status
from service.dashboard import live
from service.dashboard.access import Visitor
from service.dashboard.kernel import KernelOf
from service.dashboard.page_route import PageRoute
from service.dashboard.views import overview, request_page

router = APIRouter(route_class=PageRoute)


@router.get("/")
def show_all(
    request: Request,
    kernel: KernelOf,
    principal: Visitor,
    status: str = "",
    model: str = "",
    overdue: bool = False,
    before: Annotated[uuid.UUID | None, Query()] = None,
) -> Response:
    """Show the requests, newest first."""
    chosen = RequestFilter(
        model=model or None,
        status=Status(status) if status in {*Status} else None,
        is_overdue=True if overdue else None,
    )
    return live.respond(
        request,
        kernel,
        principal,
        "pages/overview.html",
        lambda session, now: overview.look(session, now, chosen, before),
    )


@router.get("/requests/{request_id}")
def show_one(request: Request, kernel: KernelOf, principal: Visitor, request_id: uuid.UUID) -> Response:
    """Show one request."""
    return live.respond(
        request,
        kernel,
        principal,
        "pages/request.html",
        lambda session, now: request_page.look(session, now, request_id),
    )
