"""Signing in and out: an API key is exchanged for a session cookie and is never part of an address."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.core import clock, errors
from service.dashboard import access, pages, tickets
from service.dashboard.kernel import KernelOf
from service.dashboard.page_route import PageRoute

router = APIRouter(route_class=PageRoute)

SAME_SITE = frozenset({"", "same-origin", "none"})


@router.get("/login")
def ask(request: Request, next: str = "") -> Response:
    """Ask for a key."""
    return _form(request, next)


@router.post("/login")
def sign_in(
    request: Request,
    kernel: KernelOf,
    key: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "",
) -> Response:
    """Exchange a key for a session cookie."""
    _require_same_site(request)
    try:
        principal = access.admit(kernel, key.strip())
    except errors.Unauthenticated:
        return _form(request, next, 401, "This key is not known or was revoked.")
    except errors.Forbidden as error:
        return _form(request, next, 403, error.message)
    response = RedirectResponse(_inside(request, next), status_code=303)
    response.set_cookie(
        access.COOKIE,
        access.tickets(kernel).issue(principal.id, clock.now()),
        max_age=tickets.LIFETIME_SECONDS,
        path=pages.root_of(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout")
def sign_out(request: Request) -> Response:
    """Forget the session."""
    _require_same_site(request)
    response = RedirectResponse(f"{pages.root_of(request)}/login", status_code=303)
    response.delete_cookie(access.COOKIE, path=pages.root_of(request))
    return response


def _form(request: Request, next_path: str, status_code: int = 200, complaint: str = "") -> Response:
    inner = pages.part(request, "pages/login.html", clock.now(), next=next_path, complaint=complaint)
    return HTMLResponse(pages.framed(request, inner, pages.Frame("Sign in")), status_code)


def _inside(request: Request, next_path: str) -> str:
    """Return where to go after signing in: a page of the dashboard, never another site."""
    root = pages.root_of(request)
    is_inside = next_path.startswith(f"{root}/") and "\\" not in next_path and "//" not in next_path
    return next_path if is_inside else f"{root}/"


def _require_same_site(request: Request) -> None:
    """Refuse a form that another site sent, which would sign a person in as somebody else."""
    if request.headers.get("sec-fetch-site", "") not in SAME_SITE:
        raise errors.Forbidden("This form came from another site. Open the dashboard itself and try again.")
