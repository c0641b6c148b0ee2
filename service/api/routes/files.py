"""Pull a version's files: immutable, by range, with their digest; gone for good once withdrawn."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from service.api import ranges
from service.api.access import ModelsReader
from service.api.conditional import none_match_fails, quoted, repr_digest
from service.api.kernel import KernelOf
from service.api.names import ModelName, VersionNumber
from service.api.schemas.problem import problems
from service.core import errors
from service.core.registry import repository, service
from service.core.registry.models import VersionFile

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])

IMMUTABLE = "private, max-age=31536000, immutable"
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": BINARY},
    206: {"description": "The range that was asked for.", "content": BINARY},
    304: {"description": "The caller has the file already."},
    **problems(404, 410, 416),
}


@router.get("/{number}/files/{name:path}", response_class=Response, responses=ANSWERS)
@router.head("/{number}/files/{name:path}", response_class=Response, include_in_schema=False)
def get_file(
    model: ModelName,
    number: VersionNumber,
    name: str,
    caller: ModelsReader,
    kernel: KernelOf,
    request: Request,
) -> Response:
    """Send a public file of a version that may be served."""
    with kernel.transaction() as session:
        version = service.servable(session, model, number)
        file = _named(repository.files_of(session, version.id, public=True), name)
        space = repository.model_named(session, model).space
    etag = quoted(file.sha256)
    headers = {"ETag": etag, "Cache-Control": IMMUTABLE}
    if none_match_fails(request.headers, etag):
        return Response(status_code=304, headers=headers)
    headers["Repr-Digest"] = repr_digest(file.sha256)
    return ranges.send(request, kernel.store.path(space, file.sha256), file.size, headers)


def _named(files: Sequence[VersionFile], name: str) -> VersionFile:
    for file in files:
        if file.name == name:
            return file
    raise errors.NotFound("This version has no public file of this name. Its `files` lists those it has.")
