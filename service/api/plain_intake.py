"""Takes plain forget requests in before they are routed.

Callers ask as fast as they can, and half of what a call cost was routing and solving the dependencies of the
route. So this layer takes what nearly every caller sends: a short JSON body in one piece, which is what the
route takes, by a caller who may write requests, with one key or none. Everything else, and whatever is wrong
in any way, it hands on as it came. So a body or a header is refused in one place, by the route, which stays
the contract and its description; and nothing is taken here that the route would refuse, for JSON is read more
strictly here, into the same record.
"""

import re

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import reception
from service.api.errors import PLAIN, problem, refusal
from service.api.routes.forget_requests import receive as described
from service.api.routes.forget_requests import router
from service.api.schemas.forget import KEY_PATTERN, MAX_KEY_CHARS, Forget
from service.core import errors
from service.core.access import models
from service.core.access.service import Principal
from service.settings import ServiceSettings

ROUTE = next(route for route in router.routes if getattr(route, "endpoint", None) is described)
PATH = "/v1/forget-requests"
KEY_HEADER = "idempotency-key"
MAX_PLAIN_BYTES = 1 << 16
"""Longer bodies are handed on: to read one costs more than to route it."""

_KEY = re.compile(KEY_PATTERN)


class PlainIntake:
    """Takes a plain forget request in, or hands on.

    Args:
        app: What answers everything else.
        settings: How long a body may be.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self._max_bytes = min(MAX_PLAIN_BYTES, settings.max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        headers = _plain_headers(scope, self._max_bytes)
        if headers is None:
            await self.app(scope, receive, send)
            return
        try:
            message = await receive()
        except HTTPException as error:  # over the bounds of what may wait
            scope["route"] = ROUTE
            await problem(error.status_code, *PLAIN[error.status_code])(scope, receive, send)
            return
        asked = _asked(message)
        if asked is None:
            await self.app(scope, _again(message, receive), send)
            return
        scope["route"] = ROUTE  # the metrics count by it
        caller: Principal = scope["state"]["principal"]
        try:
            answer = await reception.take_in(
                scope["app"].state.kernel, message["body"], asked, caller, headers, headers.get(KEY_HEADER)
            )
        except errors.LetheError as error:
            answer = refusal(scope, error)
        await answer(scope, receive, send)


def _plain_headers(scope: Scope, max_bytes: int) -> Headers | None:
    """Return the headers of a call whose body may be worth reading here, else None."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
        return None
    caller: Principal = scope["state"]["principal"]  # the path lies under `/v1`: somebody is known
    headers = Headers(scope=scope)
    length, keys = headers.get("content-length", ""), headers.getlist(KEY_HEADER)
    is_plain = (
        caller.may(models.Scope.REQUESTS_WRITE)
        and headers.get("content-type") == "application/json"
        and length.isdecimal()
        and int(length) <= max_bytes
        and len(keys) <= 1
        and all(len(key) <= MAX_KEY_CHARS and _KEY.fullmatch(key) for key in keys)
    )
    return headers if is_plain else None


def _asked(message: Message) -> Forget | None:
    """Return what a body says if all of it has come and it is what the route takes."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    try:
        return Forget.model_validate_json(message.get("body", b""))
    except ValidationError:
        return None


def _again(message: Message, receive: Receive) -> Receive:
    """Return what gives a message that was read once more, and then what follows."""
    read = [message]

    async def received() -> Message:
        return read.pop() if read else await receive()

    return received
