"""The unlearning methods that this installation's workers can run."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from service.api.access import ModelsReader
from service.api.kernel import KernelOf
from service.api.schemas.values import Moment
from service.core.methods import repository

router = APIRouter(prefix="/v1/methods", tags=["methods"])


class MethodView(BaseModel):
    """One method; `description` says for what, from what and how it works, and whether it is experimental."""

    name: str
    version: str
    guarantee: str
    description: dict[str, Any]
    published_at: Moment


class MethodList(BaseModel):
    """The catalogue, by name."""

    items: list[MethodView]


@router.get("")
def list_methods(caller: ModelsReader, kernel: KernelOf) -> MethodList:
    """List the methods."""
    with kernel.transaction() as session:
        entries = repository.all_methods(session)
    return MethodList(items=[MethodView.model_validate(entry, from_attributes=True) for entry in entries])
