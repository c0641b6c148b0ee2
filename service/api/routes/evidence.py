"""The evidence of a request: its certificate, its audit's report, and its place and story in the ledger."""

import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.accept import HTML, preferred, prefers_html
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
from service.core.reports import document, page, plots
from service.core.requests import audit_reports, repository

router = APIRouter(prefix="/v1/forget-requests", tags=["evidence"], responses=problems(404))

PROOF_TYPE = "text/plain; charset=utf-8"
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
JSON, SVG = "application/json", "image/svg+xml"


class Plot(StrEnum):
    """The drawings of a report; which of them there are depends on what was audited."""

    SCORES = "scores"
    REFERENCE = "reference"
    CLASSES = "classes"
    RESURRECTION = "resurrection"


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
    "/{request_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report of the audits: as JSON, as a page for people, or one of its drawings.",
            "content": {JSON: {}, HTML: {}, SVG: {}},
        }
    },
)
def get_report(
    request_id: uuid.UUID,
    caller: Auditor,
    kernel: KernelOf,
    request: Request,
    plot: Annotated[Plot | None, Query(description="The drawing to give as SVG.")] = None,
) -> Response:
    """Give the report of what was audited for a request, published or not; a named plot as SVG."""
    with kernel.transaction() as session:
        report = audit_reports.of_request(session, repository.request_by_id(session, request_id))
    headers = {"Vary": "Accept", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": PAGE_POLICY}
    usual = (SVG, JSON, HTML) if plot else (JSON, HTML, SVG)
    form = preferred(request.headers.get("accept", ""), usual)
    if form == SVG:
        return Response(
            _drawn(report["rungs"][0]["audit"], plot or Plot.SCORES), media_type=SVG, headers=headers
        )
    if form == HTML:
        return Response(page.to_html(report), media_type=HTML, headers=headers)
    return Response(document.to_bytes(report), media_type=JSON, headers=headers)


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


def _drawn(audit: Mapping[str, Any], plot: Plot) -> str:
    drawn = plots.to_svg(audit, plot)
    if drawn is None:
        there = [name for name, draw in plots.PLOTS.items() if draw(audit) is not None]
        raise errors.NotFound(
            f"This audit has nothing to draw as {plot}. It has: {', '.join(there) or 'no drawings'}.",
            code="no_plot",
        )
    return drawn


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
