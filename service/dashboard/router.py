"""The dashboard's one router, to be included by the application that has `state.kernel`."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.core import errors
from service.dashboard import pages
from service.dashboard.assets import Assets
from service.dashboard.page_route import PageRoute
from service.dashboard.routes import evidence, login, methods, models, requests

router = APIRouter(prefix=pages.PREFIX, route_class=PageRoute, include_in_schema=False)
for family in (requests, evidence, models, methods, login):
    router.include_router(family.router)

ASSETS = Assets()


@router.get("/static/{name}")
async def asset(request: Request, name: str) -> Response:
    """Return style, script or icon."""
    return await ASSETS.get_response(name, request.scope)


@router.get("/{elsewhere:path}")
def nothing_here(elsewhere: str) -> Response:
    """Say that there is no such page."""
    raise errors.NotFound("There is no such page. Go back to the requests.")
