"""Refuses intake before memory grows: so many calls at a time, and so many bytes of their bodies.

A call counts from before its body is read until it is answered. What is over the bound is refused at once
with 429 and `Retry-After`; nothing of it is kept. Calls of other routes are not counted.
"""

from fastapi.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import PLAIN, problem
from service.settings import ServiceSettings

INTAKE = frozenset({"/v1/forget-requests", "/v1/forget-requests/batch"})


class Backpressure:
    """Bounds how much intake waits in this process.

    Args:
        app: What answers.
        settings: The bounds.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self.settings = settings
        self._num_calls = 0
        self._num_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in INTAKE:
            await self.app(scope, receive, send)
            return
        if self._num_calls >= self.settings.max_waiting:
            await problem(429, *PLAIN[429])(scope, receive, send)
            return
        own_bytes = 0

        async def counted() -> Message:
            nonlocal own_bytes
            message = await receive()
            size = len(message.get("body", b""))
            own_bytes += size
            self._num_bytes += size
            # One call by itself is bounded by the longest body alone, however narrow this bound is.
            if self._num_bytes > max(self.settings.max_waiting_bytes, own_bytes):
                raise HTTPException(429)
            return message

        self._num_calls += 1
        try:
            await self.app(scope, counted, send)
        finally:
            self._num_calls -= 1
            self._num_bytes -= own_bytes
