"""The ledger as C2SP tlog-tiles: static files that any stranger's tool can check."""

from fastapi import APIRouter, Response

from service.api.errors import RETRY_SECONDS, problem_of
from service.api.kernel import KernelOf
from service.api.schemas.problem import problems
from service.core import errors
from service.core.ledger import repository as ledger
from service.core.ledger import tiles
from service.core.ledger.errors import MalformedTile

router = APIRouter(prefix="/v1/log", tags=["log"])

TEXT = "text/plain; charset=utf-8"
IMMUTABLE = "public, max-age=31536000, immutable"
FLEETING = "no-cache"


@router.get("/checkpoint", response_class=Response, responses=problems(404))
def get_checkpoint(kernel: KernelOf) -> Response:
    """Give the newest signed head of the log."""
    with kernel.transaction() as session:
        head = ledger.newest_checkpoint(session)
    if head is None:
        empty = errors.NotFound("The log has no entry yet. Ask again.", code="log_empty")
        return problem_of(empty, headers={"Retry-After": str(RETRY_SECONDS)})
    return Response(head.note, media_type=TEXT, headers={"Cache-Control": FLEETING})


@router.get("/vkey", response_class=Response)
def get_vkey(kernel: KernelOf) -> Response:
    """Give the public key under which checkpoints and certificates verify, as a C2SP vkey."""
    return Response(f"{kernel.verifier.vkey}\n", media_type=TEXT)


@router.get("/tile/{path:path}", response_class=Response, responses=problems(404))
def get_tile(path: str, kernel: KernelOf) -> Response:
    """Give a hash tile or an entry bundle, full or partial."""
    try:
        address = tiles.parse_path(f"tile/{path}")
    except MalformedTile as error:
        raise errors.NotFound("A tile's path looks like tile/0/x001/234.p/17 or tile/entries/000.") from error
    with kernel.transaction() as session:
        data = ledger.tile_bytes(session, address)
    caching = IMMUTABLE if address.width == tiles.TILE_WIDTH else FLEETING
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": caching})
