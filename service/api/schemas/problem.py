"""The problem document as the API's description shows it."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.errors import MEDIA_TYPE

REFERENCE = {"$ref": "#/components/schemas/Problem"}


class Fault(BaseModel):
    """One fault in a request: where, and why."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body.")
    reason: str


class Problem(BaseModel):
    """RFC 9457: what went wrong, for programs (`code`) and for people (`detail`)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:lethe:problem:CODE`.")
    title: str
    status: int
    detail: str = Field(description="What was expected, what came, what to do. Never repeats the input.")
    code: str = Field(description="Stable name of the problem.")
    errors: list[Fault] | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of answers that are problem documents."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": REFERENCE}},
        }
        for status in statuses
    }
