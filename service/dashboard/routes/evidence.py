"""The evidence of a request: its certificate and its audit's report, as files or to print, and its proof."""

import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from service.core import errors
from service.core.db.session import transaction
from service.core.ledger import certificate, certificate_page, proof
from service.core.ledger import repository as ledger
from service.core.ledger.errors import LedgerError
from service.core.ledger.models import Certificate
from service.core.reports import document, page
from service.core.requests import audit_reports
from service.core.requests import repository as requests
from service.dashboard import headers
from service.dashboard.access import Auditor
from service.dashboard.kernel import Kernel, KernelOf
from service.dashboard.page_route import PageRoute

router = APIRouter(route_class=PageRoute)

DSSE_MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"


@router.get("/requests/{request_id}/certificate")
def certificate_sheet(kernel: KernelOf, _: Auditor, request_id: uuid.UUID) -> Response:
    """Show the certificate as a printable page."""
    envelope = _certificate(kernel, request_id).envelope
    try:
        claim = certificate.verify(envelope, kernel.verifier)
    except LedgerError as error:
        raise errors.IntegrityBroken(
            "The stored certificate does not verify under this ledger's key. Restore it from a backup."
        ) from error
    return HTMLResponse(
        certificate_page.to_html(claim), headers={"Content-Security-Policy": headers.SHEET_POLICY}
    )


@router.get("/requests/{request_id}/certificate.dsse.json")
def certificate_file(kernel: KernelOf, _: Auditor, request_id: uuid.UUID) -> Response:
    """Download the signed certificate."""
    envelope = _certificate(kernel, request_id).envelope
    return _download(envelope, DSSE_MEDIA_TYPE, f"{request_id}.dsse.json")


@router.get("/requests/{request_id}/proof.tlog-proof")
def proof_file(kernel: KernelOf, _: Auditor, request_id: uuid.UUID) -> Response:
    """Download the proof that the completion stands in the ledger."""
    entry_id = _certificate(kernel, request_id).entry_id
    with transaction(kernel.sessions) as session:
        found = ledger.prove(session, entry_id)
    if found is None:
        raise errors.NotFound("The entry waits for its place in the ledger. Try again in a moment.")
    return _download(found.to_bytes(), proof.MEDIA_TYPE, f"{request_id}.tlog-proof")


@router.get("/requests/{request_id}/report")
def report_sheet(kernel: KernelOf, _: Auditor, request_id: uuid.UUID) -> Response:
    """Show the report of the request's audits as a printable page."""
    return HTMLResponse(
        page.to_html(_report(kernel, request_id)), headers={"Content-Security-Policy": headers.SHEET_POLICY}
    )


@router.get("/requests/{request_id}/audit.json")
def report_file(kernel: KernelOf, _: Auditor, request_id: uuid.UUID) -> Response:
    """Download the report."""
    report = document.to_bytes(_report(kernel, request_id))
    return _download(report, "application/json", f"{request_id}.audit.json")


def _report(kernel: Kernel, request_id: uuid.UUID) -> Mapping[str, Any]:
    with transaction(kernel.sessions) as session:
        return audit_reports.of_request(session, requests.request_by_id(session, request_id))


def _certificate(kernel: Kernel, request_id: uuid.UUID) -> Certificate:
    with transaction(kernel.sessions) as session:
        found = ledger.certificate_of(session, request_id)
    if found is None:
        raise errors.NotFound("This request has no certificate. One is made when a run completes it.")
    return found


def _download(data: bytes, media_type: str, name: str) -> Response:
    return Response(
        data, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
