"""What can go wrong between a client and Lethe."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx


class LetheError(Exception):
    """A call to Lethe did not give what was asked for."""


class LetheUnreachable(LetheError):
    """No answer came; trying again later is right."""


class PullRefused(LetheError):
    """What was offered is not what was promised, or knows what was forgotten; nothing of it was kept."""


class LetheApiError(LetheError):
    """Lethe answered with a problem document (RFC 9457).

    Attributes:
        status: HTTP status.
        code: Stable name of the problem.
        title: What kind of problem it is.
        detail: What was wrong with this call.
        errors: Places in the request, where the problem has any.
    """

    def __init__(
        self, status: int, code: str, title: str, detail: str, errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(": ".join(part for part in (title, detail) if part) + f" (HTTP {status})")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)


def may_pass(error: LetheError) -> bool:
    """Whether asking again may help: no answer came, or Lethe said that it cannot answer for now."""
    if isinstance(error, LetheApiError):
        return error.status == httpx.codes.SERVICE_UNAVAILABLE
    return isinstance(error, LetheUnreachable)


def api_error(response: httpx.Response) -> LetheApiError:
    """Return the error of a response that was read; a body that is no problem document is left out."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    return LetheApiError(
        status=response.status_code,
        code=str(problem.get("code", "")),
        title=str(problem.get("title") or response.reason_phrase),
        detail=str(problem.get("detail", "")),
        errors=problem.get("errors") or (),
    )
