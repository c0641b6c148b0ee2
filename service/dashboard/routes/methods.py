"""The page of unlearning methods."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.dashboard import live
from service.dashboard.access import Visitor
from service.dashboard.kernel import KernelOf
from service.dashboard.page_route import PageRoute
from service.dashboard.views import method_list

router = APIRouter(route_class=PageRoute)


@router.get("/methods")
def show_all(request: Request, kernel: KernelOf, principal: Visitor) -> Response:
    """Show what can be promised, and by which method."""
    return live.respond(request, kernel, principal, "pages/methods.html", method_list.look)
