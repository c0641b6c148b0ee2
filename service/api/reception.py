"""Takes one forget request in and answers it, whoever read it: the route, or the layer before the routes."""

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response

from service.api.errors import RETRY_SECONDS
from service.api.kernel import Kernel
from service.api.schemas.forget import Call, Forget, trace_parent
from service.api.schemas.request import request_url
from service.core import logging, tracing
from service.core.access.service import Principal
from service.core.requests import intake
from service.core.requests.intake import Sent

MAX_SHARED = 1000
"""A target that names more is written by itself, so that small ones do not wait for it."""


async def take_in(
    kernel: Kernel, body: bytes, asked: Forget, caller: Principal, headers: Headers, key: str | None
) -> Response:
    """Return, after the commit, what tells the caller how to follow the request.

    Args:
        kernel: The resources of the process.
        body: What came, to be compared with what the key stood for before.
        asked: What it says.
        caller: Who asks.
        headers: Those of the call.
        key: The caller's idempotency key, if any.

    Raises:
        errors.LetheError: The request was refused.
    """
    sent = Sent(asked.intake(call_of(headers), key, intake.fingerprint(body)), caller.id)
    if asked.target.size > MAX_SHARED:
        [shown] = await to_thread.run_sync(kernel.desk.take_in, [sent])
        if isinstance(shown, Exception):
            raise shown
    else:
        shown = await kernel.intake.submit(sent)
    told = {"Location": request_url(shown.id), "Retry-After": str(RETRY_SECONDS)}
    return Response(shown.model_dump_json(), 202, told, "application/json")


def call_of(headers: Headers) -> Call:
    """Return what ties a request to the call that brought it."""
    return Call(
        logging.bound().get("request_id"), tracing.current() or trace_parent(headers.get("traceparent"))
    )
