"""Ask for deletion, follow it, take the request back."""

import uuid
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Body, Header, Query, Request, Response

from service.api import batches, reception
from service.api.access import RequestsReader, RequestsWriter
from service.api.cursors import After, Limit, next_link, page
from service.api.errors import declared_fields
from service.api.kernel import KernelOf
from service.api.schemas.forget import (
    KEY_PATTERN,
    MAX_KEY_CHARS,
    Batch,
    BatchView,
    Forget,
)
from service.api.schemas.problem import problems
from service.api.schemas.request import RequestPage, RequestView
from service.api.schemas.values import MODEL_NAME_PATTERN
from service.api.shown import show_request, show_requests
from service.core.requests import cancellation, repository
from service.core.requests.intake import Sent
from service.core.requests.repository import RequestFilter
from service.core.requests.states import Status

router = APIRouter(prefix="/v1/forget-requests", tags=["forget requests"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=KEY_PATTERN,
        max_length=MAX_KEY_CHARS,
        description="The same key and body give the same request again.",
    ),
]


@router.post("", status_code=202, response_model=RequestView, responses=problems(404, 409, 429))
async def receive(
    request: Request,
    body: Annotated[Forget, Body()],
    caller: RequestsWriter,
    kernel: KernelOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask a model to forget classes, samples or a person; the answer says how to follow it."""
    return await reception.take_in(
        kernel, await request.body(), body, caller, request.headers, idempotency_key
    )


@router.post("/batch", status_code=207, response_model=BatchView, responses=problems(429))
async def receive_batch(
    request: Request, body: Annotated[Batch, Body()], caller: RequestsWriter, kernel: KernelOf
) -> Response:
    """Ask for many deletions in one call; each is answered as it would be alone, and spoils no other."""
    declared, call = declared_fields(request.app), reception.call_of(request.headers)
    entries = [batches.read(entry, call, caller.id, declared) for entry in body.requests]
    sent = [entry for entry in entries if isinstance(entry, Sent)]
    taken = await to_thread.run_sync(kernel.desk.take_in, sent)
    shown = BatchView(items=batches.answers(entries, taken))
    return Response(shown.model_dump_json(), 207, media_type="application/json")


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
