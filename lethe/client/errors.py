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
        retry_after_seconds: When Lethe asked to be asked again; None where it did not say.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        errors: Sequence[Mapping[str, Any]] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(": ".join(part for part in (title, detail) if part) + f" (HTTP {status})")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds


def may_pass(error: LetheError) -> bool:
    """Whether asking again may help: no answer came, or Lethe said that it cannot answer for now."""
    if isinstance(error, LetheApiError):
        return error.status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS)
    return isinstance(error, LetheUnreachable)


def api_error(response: httpx.Response) -> LetheApiError:
    """Return the error of a response that was read; a body that is no problem document is left out."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    wait = response.headers.get("Retry-After", "")
    return problem_error(
        response.status_code,
        {"title": response.reason_phrase, **(problem if isinstance(problem, dict) else {})},
        float(wait) if wait.isdecimal() else None,
    )


def problem_error(
    status: int, problem: Mapping[str, Any], retry_after_seconds: float | None = None
) -> LetheApiError:
    """Return the error that a problem document tells of."""
    return LetheApiError(
        status=status,
        code=str(problem.get("code", "")),
        title=str(problem.get("title") or ""),
        detail=str(problem.get("detail", "")),
        errors=problem.get("errors") or (),
        retry_after_seconds=retry_after_seconds,
    )
