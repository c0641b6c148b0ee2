"""Answers `latest` at once when memory knows it, before the request is routed.

The path is asked thousands of times a minute and mostly for a 304, and most of the price of that is routing
and solving the dependencies of a route whose answer is known. So this layer answers exactly what
`routes.latest` would: a plain GET without parameters, by a caller who may read models, of a model whose
pointer is remembered. Everything else it hands on, unseen: another method, a wait, a missing scope, a name
that memory does not know, a pointer that is too old. The route stays the contract and its description.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.conditional import none_match_fails
from service.api.kernel import Kernel
from service.api.routes.latest import router
from service.api.served import Pointer
from service.core.access import models
from service.core.access.service import Principal

(ROUTE,) = router.routes
BEFORE, AFTER = "/v1/models/", "/versions/latest"


class AtOnce:
    """Answers from memory, or hands on.

    Args:
        app: What answers everything else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        pointer = _known(scope)
        if pointer is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = ROUTE  # the metrics count by it
        has_it = none_match_fails(Headers(scope=scope), pointer.etag)
        headers = pointer.not_modified if has_it else pointer.found
        await send(
            {"type": "http.response.start", "status": 304 if has_it else 200, "headers": list(headers)}
        )
        await send({"type": "http.response.body", "body": b"" if has_it else pointer.body})


def _known(scope: Scope) -> Pointer | None:
    """Return what the caller asks for if it may be answered from memory."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    path: str = scope["path"]
    if not (path.startswith(BEFORE) and path.endswith(AFTER)):
        return None
    principal: Principal = scope["state"]["principal"]  # the path lies under `/v1`: somebody is known
    if not principal.may(models.Scope.MODELS_READ):
        return None
    kernel: Kernel = scope["app"].state.kernel
    return kernel.served.peek(path[len(BEFORE) : -len(AFTER)])
