"""The kind of route every page is served by: its errors are pages too, and every response is made safe."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.core import clock, errors
from service.dashboard import headers, live, pages
from service.dashboard.access import SignInNeeded

STATUS: dict[type[errors.LetheError], tuple[int, str]] = {
    errors.Unauthenticated: (401, "Not signed in"),
    errors.Forbidden: (403, "Not allowed"),
    errors.NotFound: (404, "Not found"),
    errors.Unavailable: (503, "Out of reach"),
    errors.IntegrityBroken: (500, "Damaged"),
}
OTHER = (400, "Not possible")


class PageRoute(APIRoute):
    """A route that answers people."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with errors as pages and safe headers."""
        handle = super().get_route_handler()

        async def handle_for_people(request: Request) -> Response:
            return headers.secure(await _or_page(handle, request))

        return handle_for_people


def problem_page(request: Request, status_code: int, title: str, message: str) -> Response:
    """Return a page that says what went wrong and what to do."""
    inner = pages.part(request, "pages/problem.html", clock.now(), title=title, message=message)
    return HTMLResponse(pages.framed(request, inner, pages.Frame(title)), status_code)


async def _or_page(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await handle(request)
    except SignInNeeded:
        return _sign_in(request)
    except RequestValidationError:
        return problem_page(request, 404, "Not found", "This address names nothing. Go back to the requests.")
    except errors.LetheError as error:
        status_code, title = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), OTHER)
        return problem_page(request, status_code, title, error.message)


def _sign_in(request: Request) -> Response:
    """Send a person to the sign-in page and back; tell a script, which cannot follow, by the status."""
    if live.is_fragment(request):
        return Response(status_code=401)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{pages.root_of(request)}/login?{urlencode({'next': here})}", status_code=303)
