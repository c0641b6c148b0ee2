"""Ask for deletion, follow it, take the request back."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response

from service.api.access import RequestsReader, RequestsWriter
from service.api.cursors import After, Limit, next_link, page
from service.api.errors import RETRY_SECONDS
from service.api.kernel import KernelOf
from service.api.schemas.forget import Forget
from service.api.schemas.problem import problems
from service.api.schemas.request import RequestPage, RequestView, request_url
from service.api.schemas.values import MODEL_NAME_PATTERN
from service.api.shown import show_request, show_requests
from service.core.requests import cancellation, intake, repository
from service.core.requests.repository import RequestFilter
from service.core.requests.states import Status

router = APIRouter(prefix="/v1/forget-requests", tags=["forget requests"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        max_length=255,
        description="The same key and body give the same request again.",
    ),
]


async def raw_body(request: Request) -> bytes:
    """Return the body as it came."""
    return await request.body()


@router.post("", status_code=202, responses=problems(404, 409))
def receive(
    body: Annotated[Forget, Body()],
    sent: Annotated[bytes, Depends(raw_body)],
    caller: RequestsWriter,
    kernel: KernelOf,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> RequestView:
    """Ask a model to forget classes, samples or a person; the answer says how to follow it."""
    taken = body.intake(idempotency_key, intake.fingerprint(sent))
    with kernel.transaction() as session:
        request = intake.receive(session, taken, caller.id, kernel.pseudonymiser)
        shown = show_request(session, request)
    response.headers["Location"] = request_url(request.id)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return shown


@router.get("")
def list_requests(
    caller: RequestsReader,
    kernel: KernelOf,
    after: After,
    model: Annotated[str | None, Query(pattern=MODEL_NAME_PATTERN)] = None,
    status: Status | None = None,
    overdue: bool | None = None,
    limit: Limit = 50,
) -> RequestPage:
    """List requests, newest first."""
    chosen = RequestFilter(model, status, overdue)
    with kernel.transaction() as session:
        found = repository.requests_before(session, chosen, after, limit + 1)
        shown, has_more = page(found, limit)
        items = show_requests(session, shown)
    filters = {"model": model, "status": status, "overdue": overdue, "limit": limit}
    link = next_link("/v1/forget-requests", shown[-1].id, filters) if has_more else None
    return RequestPage(items=items, next=link)


@router.get("/{request_id}", responses=problems(404))
def get_request(request_id: uuid.UUID, caller: RequestsReader, kernel: KernelOf) -> RequestView:
    """Show a request, its run and what the audit found."""
    with kernel.transaction() as session:
        return show_request(session, repository.request_by_id(session, request_id))


@router.delete("/{request_id}", status_code=202, responses=problems(404, 409))
def cancel(request_id: uuid.UUID, caller: RequestsWriter, kernel: KernelOf) -> RequestView:
    """Take a request back, as long as nothing that has forgotten it is published; a run is broken off."""
    with kernel.transaction() as session:
        return show_request(session, cancellation.cancel(session, request_id, caller.id))
