"""The pages of models: all of them, and one with its versions."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.dashboard import live
from service.dashboard.access import Visitor
from service.dashboard.kernel import KernelOf
from service.dashboard.page_route import PageRoute
from service.dashboard.views import model_list, model_page

router = APIRouter(route_class=PageRoute)


@router.get("/models")
def show_all(request: Request, kernel: KernelOf, principal: Visitor) -> Response:
    """Show the models."""
    return live.respond(request, kernel, principal, "pages/models.html", model_list.look)


@router.get("/models/{name:path}")
def show_one(request: Request, kernel: KernelOf, principal: Visitor, name: str) -> Response:
    """Show one model."""
    return live.respond(
        request,
        kernel,
        principal,
        "pages/model.html",
        lambda session, now: model_page.look(session, now, name),
    )
