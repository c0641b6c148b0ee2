"""The one table from error family to HTTP status, and the RFC 9457 problem documents that carry them.

A problem never repeats what the caller sent: a value could be a person. A fault in a body is named by a JSON
pointer made of the API's own field names and of positions, a fault elsewhere by its parameter's name.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Scope

from service.core import errors

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
MAX_FAULTS = 100
"""How many of a record's faults are told."""

STATUS: Mapping[type[errors.LetheError], int] = {
    errors.Invalid: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooLarge: 413,
    errors.Overloaded: 429,
    errors.Unavailable: 503,
    errors.LeaseLost: 409,
    errors.IntegrityBroken: 500,
}

HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="lethe"'},
    429: {"Retry-After": str(RETRY_SECONDS)},
    503: {"Retry-After": str(RETRY_SECONDS)},
}

PLAIN: Mapping[int, tuple[str, str]] = {
    400: ("malformed_body", "The body cannot be read as JSON. Send one JSON object in UTF-8."),
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path does not take this method; `Allow` lists those that it takes."),
    413: ("too_large", "The body is longer than this installation accepts here."),
    429: ("overloaded", "More requests wait than this server takes at a time. Send it again shortly."),
}
"""Codes and words for what the framework itself refuses."""

SAFE_MESSAGES = frozenset(
    {
        "missing", "too_short", "too_long", "string_too_short", "string_too_long", "string_type",
        "string_unicode", "string_pattern_mismatch", "int_type", "int_parsing", "float_type",
        "float_parsing", "bool_type", "bool_parsing", "list_type", "dict_type", "model_type",
        "model_attributes_type", "enum", "literal_error", "greater_than", "greater_than_equal",
        "less_than", "less_than_equal", "finite_number", "timezone_aware", "union_tag_not_found",
        "not_plain_json", "not_rfc3339", "not_past", "not_offered", "channels_differ",
        "manifest_outside",
    }
)  # fmt: skip
"""Kinds of fault whose wording holds only what the schema says, never the value that came."""

CODE = "lethe.problem_code"
"""Where a request's scope tells the code it was refused with, for the meters."""

UNKNOWN_FIELD = "has a field that is not known here"


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """Return a problem document.

    Args:
        status: HTTP status.
        code: Stable machine-readable name.
        detail: What was expected, what came, what to do.
        headers: Headers beside those that the status always has.
        members: Further members, e.g. `errors`.
    """
    return _response(status, _document(status, code, detail, members), headers)


def problem_of(error: errors.LetheError, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return the problem document of an error that the kernel raised."""
    return _response(*document_of(error), headers)


def refusal(scope: Scope, error: errors.LetheError) -> Response:
    """Return what a call is answered that the kernel refused, and note the code for the meters."""
    scope[CODE] = error.code
    return problem_of(error)


def document_of(error: Exception) -> tuple[int, dict[str, object]]:
    """Return the status and the members of a problem document; what nobody expected tells nothing."""
    if not isinstance(error, errors.LetheError):
        detail = "Something failed that should not. The log has it."
        return 500, _document(500, "internal_error", detail, {})
    status = next(STATUS[family] for family in type(error).__mro__ if family in STATUS)
    members: dict[str, object] = {}
    if isinstance(error, errors.Gone):
        for facts in error.details:
            members.update(facts)
    elif error.details:
        members["errors"] = [dict(fault) for fault in error.details]
    return status, _document(status, error.code, error.message, members)


def invalid(faults: Iterable[Mapping[str, Any]], declared: frozenset[str]) -> errors.Invalid:
    """Return what a record is answered that is not what it should be.

    Args:
        faults: As pydantic tells them, each in the `body`.
        declared: Names that may be repeated in a pointer.
    """
    return errors.Invalid(
        "The request is not what this route takes; `errors` says where and why.",
        details=[_fault(fault, declared) for fault in islice(faults, MAX_FAULTS)],
    )


def declared_fields(app: FastAPI) -> frozenset[str]:
    """Return the names of every field of the contract: they may be repeated, for no caller made them up."""
    schemas = app.openapi().get("components", {}).get("schemas", {})
    return frozenset(name for schema in schemas.values() for name in schema.get("properties", ()))


def handle(app: FastAPI) -> None:
    """Have an application answer every error with a problem document."""
    app.add_exception_handler(errors.LetheError, _on_lethe_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


def _on_lethe_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.LetheError)
    return refusal(request.scope, error)


def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = PLAIN.get(error.status_code, ("refused", error.detail))
    return problem(error.status_code, code, detail, headers=error.headers)


def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return problem(400, *PLAIN[400])
    return problem_of(invalid(faults, declared_fields(request.app)))


def _document(status: int, code: str, detail: str, members: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": f"urn:lethe:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }


def _response(status: int, document: Mapping[str, object], headers: Mapping[str, str] | None) -> Response:
    return JSONResponse(
        document,
        status,
        headers={"Cache-Control": "no-store", **HEADERS.get(status, {}), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def _fault(fault: Mapping[str, Any], declared: frozenset[str]) -> dict[str, str]:
    kind, (place, *path) = fault["type"], fault["loc"]
    reason = UNKNOWN_FIELD if kind == "extra_forbidden" else "is not what this field takes"
    if kind in SAFE_MESSAGES:
        reason = fault["msg"]
    where = {"pointer": _pointer(path, declared)} if place == "body" else {"in": place, "name": str(path[0])}
    return {**where, "code": kind, "reason": reason}


def _pointer(path: Sequence[str | int], declared: frozenset[str]) -> str:
    """Join positions and declared names; where the caller made a name up, its parent stands for it."""
    return "".join(f"/{part}" for part in path if isinstance(part, int) or part in declared)
