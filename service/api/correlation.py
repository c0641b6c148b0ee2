"""One id a request, on every log line and on the answer; and the last net under unexpected errors."""

import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import CODE, problem
from service.core import logging, tracing

HEADER = "X-Request-ID"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = READING | {"POST", "PUT", "PATCH", "DELETE"}
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,100}")

log = logging.get(__name__)


class Correlation:
    """Gives each request its id, measures it, and answers what nobody expected without details.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the id in a header."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = headers.get(HEADER, "")
        request_id = sent if _ACCEPTED.fullmatch(sent) else uuid.uuid4().hex
        logging.bind(request_id=request_id)
        began, status = time.perf_counter(), 0

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            with tracing.span(scope["method"], parent=headers.get("traceparent"), request_id=request_id):
                try:
                    await self.app(scope, receive, stamped)
                finally:
                    tracing.rename(f"{scope['method']} {_route(scope)}")
        except ClientDisconnect:
            log.info("caller_hung_up", route=_route(scope))
        except Exception:
            log.exception("request_failed", method=scope["method"], route=_route(scope))
            if status:
                raise
            detail = f"Something failed that should not. The log has it under request id {request_id}."
            await problem(500, "internal_error", detail)(scope, receive, stamped)
        finally:
            _note(scope, status, time.perf_counter() - began)


def _note(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else "other"  # callers may make methods up
    if status:  # a caller that hung up got no answer
        code = scope.get(CODE)
        scope["app"].state.kernel.meters.observe(method, _route(scope), status, seconds, code)
    tell = log.debug if method in READING else log.info
    tell("request_answered", method=method, route=_route(scope), status=status, seconds=seconds)


def _route(scope: Scope) -> str:
    """Return the route's template: a path itself would make a time series of each model."""
    return str(getattr(scope.get("route"), "path", "none"))
