"""Bounds how much of a request is read: by its announced length, and by what really comes."""

from fastapi.exceptions import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import PLAIN, problem
from service.settings import ServiceSettings


class BodyLimit:
    """Refuses bodies that are too long with 413.

    Args:
        app: What answers.
        settings: The limits: one for uploads of weights, one for everything else.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await problem(413, *PLAIN[413])(scope, receive, send)
            return
        num_bytes = 0

        async def limited() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > limit:
                raise HTTPException(413)  # any other exception while a body is read becomes a 400
            return message

        await self.app(scope, limited, send)

    def _limit(self, scope: Scope) -> int:
        is_upload = scope["method"] == "PUT" and scope["path"].endswith("/weights")
        return self.settings.max_weights_bytes if is_upload else self.settings.max_body_bytes
