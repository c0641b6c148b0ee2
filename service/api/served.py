"""What is served of a model: looked up, and kept in the very bytes in which it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from starlette.responses import Response

from service.api.conditional import quoted
from service.api.schemas.model import latest_view
from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.registry import repository

LOOK_SECONDS = 5.0
"""Whom no news reaches looks by himself this often; nobody is told anything older."""

NUM_REMEMBERED = 10_000

RawHeader = tuple[bytes, bytes]


@dataclass(frozen=True)
class Pointer:
    """Which version to serve, ready to be sent.

    Attributes:
        etag: Strong entity tag, quoted; changes whenever what is served, or what may be served, does.
        body: The JSON of a `LatestView`.
    """

    etag: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """What every answer carries that names this pointer."""
        return {"ETag": self.etag, "Cache-Control": "no-cache"}

    @cached_property
    def not_modified(self) -> Sequence[RawHeader]:
        """The headers of a 304, as ASGI takes them."""
        return Response(status_code=304, headers=self.headers).raw_headers

    @cached_property
    def found(self) -> Sequence[RawHeader]:
        """The headers of a 200, as ASGI takes them."""
        return Response(self.body, headers=self.headers, media_type="application/json").raw_headers


def read_served(sessions: Sessions, name: str) -> Pointer:
    """Return what should be served of a model now.

    All of it is settled by the transaction that publishes the version: `registry.service.publish` alone
    moves `served_version` and the floor, sets digest, guarantee and public files, and notifies.

    Raises:
        errors.NotFound: No such model, or nothing of it is published yet.
    """
    with transaction(sessions) as session:
        model = repository.model_named(session, name)
        if model.served_version is None:
            raise errors.NotFound(
                f"No version of this model is published yet; the model is {model.state}.",
                code="not_published",
            )
        version = repository.version_numbered(session, model.id, model.served_version)
        shown = latest_view(model, version, repository.files_of(session, version.id, public=True))
        return Pointer(quoted(shown.tag), shown.model_dump_json().encode())
