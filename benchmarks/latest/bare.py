"""The peers of `latest`: the barest route that the same server could answer a 304 with.

Two applications, neither with a middleware of ours, a database, a log line or a metric: an `async def` route
of FastAPI with one path parameter, which is what an API in this framework costs before it does anything, and
the same route of Starlette, which is what the server and the routing cost. Both answer 304 without a body.
"""

from fastapi import FastAPI, Response
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

PATH = "/v1/models/{model}/versions/latest"


def fastapi_application() -> FastAPI:
    """Return the peer in FastAPI."""
    app = FastAPI()

    @app.get(PATH)
    async def latest(model: str) -> Response:
        return Response(status_code=304)

    return app


def starlette_application() -> Starlette:
    """Return the peer in Starlette."""

    async def latest(request: Request) -> Response:
        return Response(status_code=304)

    return Starlette(routes=[Route(PATH, latest)])
