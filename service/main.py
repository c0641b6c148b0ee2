"""The composition root of the HTTP process: settings in, application out; nothing is built at import.

python -m uvicorn service.main:application --factory
"""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from service.api import arenas, errors
from service.api.access import Authentication
from service.api.at_once import AtOnce
from service.api.backpressure import Backpressure
from service.api.body_limit import BodyLimit
from service.api.correlation import Correlation
from service.api.kernel import open_kernel
from service.api.plain_intake import PlainIntake
from service.api.routes import (
    api_keys,
    decisions,
    evidence,
    files,
    forget_requests,
    health,
    jobs,
    latest,
    log,
    methods,
    metrics,
    models,
    versions,
    weights,
)
from service.api.schemas.problem import Problem, problems
from service.core import logging, tracing
from service.dashboard.router import router as dashboard
from service.settings import ServiceSettings

CONTRACT = "1"
"""Version of the HTTP contract, the `v1` of its paths."""

CLOSED_ROUTERS = (
    models.router,
    weights.router,
    latest.router,  # before the versions: `latest` is no number
    versions.router,
    files.router,
    forget_requests.router,
    decisions.router,
    evidence.router,
    methods.router,
    api_keys.router,
    jobs.router,
)
OPEN_ROUTERS = (log.router, health.router, metrics.router)


class Application(FastAPI):
    """FastAPI, with the problem document in its description."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        description = super().openapi()
        schemas = description.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**schema.pop("$defs", {}), "Problem": schema}
        return description


def application() -> FastAPI:
    """Return the application that the environment describes; for `uvicorn --factory`."""
    settings = ServiceSettings()
    logging.configure(settings.log_level, settings.log_format)
    tracing.configure("lethe-api")
    arenas.bound()
    gc.freeze()  # what is imported by now stays: the collector need not walk it on every pass
    return create_app(settings)


def create_app(settings: ServiceSettings) -> FastAPI:
    """Return an application; it opens its resources when it is started."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_kernel(settings) as app.state.kernel:
            yield

    app = Application(
        title="Lethe",
        summary="Deletes people from trained models, and leaves evidence that a stranger can check.",
        version=CONTRACT,
        lifespan=lifespan,
        redoc_url=None,
    )
    errors.handle(app)
    for router in CLOSED_ROUTERS:
        app.include_router(router, responses=problems(400, 401, 403, 413, 422, 503))
    for router in OPEN_ROUTERS:
        app.include_router(router, responses=problems(422, 503))
    app.include_router(dashboard)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(AtOnce)
    app.add_middleware(PlainIntake, settings=settings)
    app.add_middleware(Backpressure, settings=settings)
    app.add_middleware(Authentication)
    app.add_middleware(Correlation)
    return app
