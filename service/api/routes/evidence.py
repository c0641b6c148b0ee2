"""The evidence of a request: its certificate, its place in the ledger, and what the ledger tells of it."""

import uuid

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from service.api.accept import prefers_html
from service.api.access import Auditor
from service.api.errors import RETRY_SECONDS, problem_of
from service.api.kernel import KernelOf
from service.api.schemas.problem import problems
from service.api.schemas.request import Timeline, TimelineEntry
from service.core import errors
from service.core.ledger import certificate, certificate_page
from service.core.ledger import repository as ledger
from service.core.ledger.errors import LedgerError
from service.core.ledger.models import Certificate
from service.core.requests import repository

router = APIRouter(prefix="/v1/forget-requests", tags=["evidence"], responses=problems(404))

PROOF_TYPE = "text/plain; charset=utf-8"
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@router.get(
    "/{request_id}/certificate",
    response_class=Response,
    responses={
        200: {
            "description": "The DSSE envelope, or its page for people.",
            "content": {certificate.PAYLOAD_TYPE: {}, "text/html": {}},
        }
    },
)
def get_certificate(request_id: uuid.UUID, caller: Auditor, kernel: KernelOf, request: Request) -> Response:
    """Give the signed certificate of a completed request, or its page when HTML is preferred."""
    with kernel.transaction() as session:
        envelope = _certificate(session, request_id).envelope
    headers = {"Vary": "Accept", "X-Content-Type-Options": "nosniff"}
    if not prefers_html(request.headers.get("accept", "")):
        return Response(envelope, media_type=certificate.PAYLOAD_TYPE, headers=headers)
    try:
        claim = certificate.verify(envelope, kernel.verifier)
    except LedgerError as error:
        raise errors.IntegrityBroken(
            "The stored certificate does not verify under this ledger's key. Restore it from a backup."
        ) from error
    page = certificate_page.to_html(claim)
    return Response(page, media_type="text/html", headers={**headers, "Content-Security-Policy": PAGE_POLICY})


@router.get(
    "/{request_id}/proof",
    response_class=Response,
    responses={200: {"description": "A C2SP tlog-proof.", "content": {"text/plain": {}}}},
)
def get_proof(request_id: uuid.UUID, caller: Auditor, kernel: KernelOf) -> Response:
    """Give the proof that the request's completion stands in the ledger."""
    with kernel.transaction() as session:
        found = ledger.prove(session, _certificate(session, request_id).entry_id)
    if found is None:
        waiting = errors.NotFound(
            "The entry waits for its place in the ledger. Ask again.", code="not_sequenced"
        )
        return problem_of(waiting, headers={"Retry-After": str(RETRY_SECONDS)})
    return Response(found.to_bytes(), media_type=PROOF_TYPE)


@router.get("/{request_id}/timeline")
def get_timeline(request_id: uuid.UUID, caller: Auditor, kernel: KernelOf) -> Timeline:
    """Give everything that the ledger tells of a request, in order."""
    with kernel.transaction() as session:
        repository.request_by_id(session, request_id)
        told = ledger.entries_about(session, request_id)
    return Timeline(items=[TimelineEntry(kind=one.kind, at=one.at, body=dict(one.body)) for one in told])


def _certificate(session: Session, request_id: uuid.UUID) -> Certificate:
    request = repository.request_by_id(session, request_id)
    found = ledger.certificate_of(session, request_id)
    if found is None:
        raise errors.NotFound(
            f"There is no certificate: this request is {request.status}. "
            "One is made when a run completes it.",
            code="no_certificate",
        )
    return found
