"""Pages that keep themselves current: the whole page once, then only its live part, and only when it changed.

The script of the page asks for the same address again with the header `Lethe-Fragment` and the version it
has. A version is `STAMP-DIGEST`. The stamp is the database's transaction snapshot and the present minute, for
ages are written by the minute: while nobody wrote anything, a poll costs one query that looks at no table. If
somebody did, the part is rendered, and sent only if its digest differs.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from service.core import clock
from service.core.access.service import Principal
from service.core.db.session import transaction
from service.dashboard import pages, repository
from service.dashboard.kernel import Kernel

FRAGMENT_HEADER = "Lethe-Fragment"
_DIGEST_CHARS = 20


class View(Protocol):
    """What a page shows, ready to be written."""

    @property
    def title(self) -> str:
        """Title of the window."""


def respond(
    request: Request,
    kernel: Kernel,
    principal: Principal,
    template: str,
    look: Callable[[Session, datetime], View],
) -> Response:
    """Answer with the page, with its live part, or with 304.

    Args:
        request: The request; whether it asks for the live part alone is in its headers.
        kernel: Where the truth lies.
        principal: Who looks.
        template: Of the live part; it is given the view as `view`.
        look: Reads the view in one transaction.
    """
    now = clock.now()
    known = (
        request.headers.get("if-none-match", "").removeprefix("W/").strip('"') if is_fragment(request) else ""
    )
    with transaction(kernel.sessions) as session:
        stamp = _digest(f"{repository.snapshot(session)} {now:%Y-%m-%d %H:%M}")
        if known.startswith(f"{stamp}-"):
            return _versioned(Response(status_code=304), known)
        view = look(session, now)
    part = pages.part(request, template, now, view=view)
    version = f"{stamp}-{_digest(part)}"
    if not is_fragment(request):
        frame = pages.Frame(view.title, principal, etag=version)
        return HTMLResponse(pages.framed(request, part, frame))
    if known.endswith(version[-_DIGEST_CHARS:]):
        return _versioned(Response(status_code=304), version)
    return _versioned(HTMLResponse(part), version)


def is_fragment(request: Request) -> bool:
    """Whether the page's own script asks, and not a person."""
    return FRAGMENT_HEADER in request.headers


def _versioned(response: Response, version: str) -> Response:
    response.headers["ETag"] = f'"{version}"'
    response.headers["Vary"] = FRAGMENT_HEADER
    return response


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGEST_CHARS]
