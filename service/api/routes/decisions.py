"""A person decides on a request that is held, was not passed by its audit, or is running late."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body

from service.api.access import RequestsWriter
from service.api.kernel import KernelOf
from service.api.schemas.forget import Decision
from service.api.schemas.problem import problems
from service.api.schemas.request import RequestView
from service.api.shown import show_request
from service.core import errors
from service.core.access.service import OPERATOR, Principal
from service.core.requests import acceptance, lifecycle
from service.core.requests.review import Choice

router = APIRouter(prefix="/v1/forget-requests", tags=["forget requests"])

DECISIONS = {
    Choice.APPROVE: lifecycle.approve,
    Choice.DENY: lifecycle.deny,
    Choice.EXTEND: lifecycle.extend,
    Choice.ACCEPT: acceptance.accept,
}


@router.post("/{request_id}/decision", responses=problems(404, 409))
def decide(
    request_id: uuid.UUID, body: Annotated[Decision, Body()], caller: RequestsWriter, kernel: KernelOf
) -> RequestView:
    """Approve, deny or extend a request, or accept what its audit did not pass, in one's own name."""
    _require_named(caller)
    with kernel.transaction() as session:
        decided = DECISIONS[body.decision](session, request_id, caller.id, body.reason)
        return show_request(session, decided)


def _require_named(caller: Principal) -> None:
    if caller.id == OPERATOR:
        raise errors.Forbidden(
            "A decision is taken in somebody's name, and the installation's admin key is nobody's. "
            "Make a key for the person with POST /v1/api-keys.",
            code="named_principal_required",
        )
