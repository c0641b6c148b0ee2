"""Give callers keys with scopes, and take keys back."""

import uuid
from typing import Annotated

from anyio import from_thread
from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field

from service.api.access import Admin
from service.api.kernel import KernelOf
from service.api.schemas import values
from service.api.schemas.problem import problems
from service.api.schemas.values import Moment
from service.core.access import service
from service.core.access.models import Scope

router = APIRouter(prefix="/v1/api-keys", tags=["api keys"])


class NewKey(values.Body):
    """The body of `POST /v1/api-keys`."""

    name: Annotated[values.Label, Field(max_length=100)] = Field(description="Whose key it is.")
    scopes: frozenset[Scope] = Field(min_length=1)


class KeyView(BaseModel):
    """A key without its secret."""

    id: uuid.UUID
    name: str
    scopes: list[Scope]
    created_at: Moment
    revoked_at: Moment | None


class CreatedKey(KeyView):
    """A key with its secret, which is shown this once."""

    key: str


class KeyList(BaseModel):
    """All keys, oldest first."""

    items: list[KeyView]


@router.post("", status_code=201)
def create(
    body: Annotated[NewKey, Body()], caller: Admin, kernel: KernelOf, response: Response
) -> CreatedKey:
    """Make a key; its secret is shown once and not kept."""
    with kernel.transaction() as session:
        row, secret = service.create_key(session, body.name, body.scopes)
        shown = KeyView.model_validate(row, from_attributes=True)
    response.headers["Cache-Control"] = "no-store"
    return CreatedKey(**shown.model_dump(), key=secret)


@router.get("")
def list_keys(caller: Admin, kernel: KernelOf) -> KeyList:
    """List the keys, revoked ones included."""
    with kernel.transaction() as session:
        rows = service.list_keys(session)
    return KeyList(items=[KeyView.model_validate(row, from_attributes=True) for row in rows])


@router.delete("/{key_id}", status_code=204, responses=problems(404))
def revoke(key_id: uuid.UUID, caller: Admin, kernel: KernelOf) -> None:
    """End a key at once: here before this is answered, in other processes when they hear of it."""
    with kernel.transaction() as session:
        service.revoke_key(session, key_id)
    from_thread.run_sync(kernel.callers.remembered.forget_all)
