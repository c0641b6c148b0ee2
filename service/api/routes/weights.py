"""Take a model's weights: streamed to the store, never whole in memory, nothing left of a cut upload."""

import hashlib
from collections.abc import AsyncIterator, Iterator

from anyio import from_thread, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from service.api.access import ModelsWriter
from service.api.conditional import expected_sha256
from service.api.kernel import Kernel, KernelOf
from service.api.names import ModelName
from service.api.schemas.model import ModelView, model_url, model_view
from service.api.schemas.problem import problems
from service.core import errors
from service.core.lineage.models import Dataset
from service.core.registry import repository, service
from service.core.storage.base import Stored

router = APIRouter(prefix="/v1/models", tags=["models"])

BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put("/{model}/weights", status_code=202, responses=problems(404, 409), openapi_extra=BODY)
async def upload(
    name: ModelName, caller: ModelsWriter, kernel: KernelOf, request: Request, response: Response
) -> ModelView:
    """Upload safetensors; a worker prepares them, then publishes them as version 1.

    A `Repr-Digest` with sha-256 is checked against the bytes that came.
    """
    expected = expected_sha256(request)
    space = await run_in_threadpool(_space_for, kernel, name)
    body = aiter(request.stream())
    stored = await to_thread.run_sync(
        lambda: kernel.store.put(space, _checked(_pulled(body), expected)), limiter=kernel.uploads
    )
    response.headers["Location"] = model_url(name)
    return await run_in_threadpool(_accept, kernel, name, stored)


def _space_for(kernel: Kernel, name: str) -> str:
    """Return where the upload goes; a model that takes none is told before its gigabytes are read."""
    with kernel.transaction() as session:
        model = repository.model_named(session, name)
        service.require_awaits_weights(model)
        return model.space


def _accept(kernel: Kernel, name: str, stored: Stored) -> ModelView:
    with kernel.transaction() as session:
        model = service.accept_weights(session, name, stored)
        return model_view(model, session.get_one(Dataset, model.dataset_id), None)


def _pulled(body: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Yield an upload's pieces to a worker thread as the event loop receives them; none waits in between.

    A caller that hangs up raises `ClientDisconnect` here, in the midst of the store's writing.
    """
    while (piece := from_thread.run(anext, body, None)) is not None:
        yield piece


def _checked(pieces: Iterator[bytes], expected: str | None) -> Iterator[bytes]:
    """Yield the pieces, and fail at the end, before the store keeps them, if their digest is another."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if expected is not None and digest.hexdigest() != expected:
        raise errors.Invalid(
            "The bytes that came do not have the digest that Repr-Digest announced. Upload them again.",
            code="digest_mismatch",
        )
