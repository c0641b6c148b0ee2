"""What should be served now: asked thousands of times a minute, and waited for."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.api.access import ModelsReader
from service.api.conditional import none_match_fails
from service.api.kernel import KernelOf
from service.api.names import ModelName
from service.api.schemas.model import LatestView
from service.api.schemas.problem import problems
from service.api.served import LOOK_SECONDS

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "What the caller has is still what should be served."}
}


@router.get("/latest", response_model=LatestView, responses={**problems(404), **NOT_MODIFIED})
async def latest(
    name: ModelName,
    caller: ModelsReader,
    kernel: KernelOf,
    request: Request,
    wait: Annotated[
        float, Query(ge=0, le=60, description="Seconds to wait when `If-None-Match` matches.")
    ] = 0,
) -> Response:
    """Tell which version to serve, at once or, with `wait`, as soon as it is another than the caller's.

    A waiting caller holds no thread and no database connection, and asks the database nothing: whoever waits
    is answered from what the process remembers.
    """
    ends_at = time.monotonic() + min(wait, kernel.settings.max_wait_seconds)
    with kernel.publications.bell(name) as news:  # before the first look, so that nothing falls in between
        pointer = await kernel.served.get(name)
        while none_match_fails(request.headers, pointer.etag):
            seconds_left = ends_at - time.monotonic()
            if seconds_left <= 0 or kernel.departure.is_asked or await request.is_disconnected():
                return Response(status_code=304, headers=pointer.headers)
            await _wait(news, min(seconds_left, LOOK_SECONDS))
            pointer = await kernel.served.get(name)
    return Response(pointer.body, headers=pointer.headers, media_type="application/json")


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Return when there is news, or after some seconds."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
    news.clear()
