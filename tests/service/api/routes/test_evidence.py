"""The evidence of a request, as a stranger would check it."""

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.ledger import certificate, merkle, proof
from service.core.ledger import repository as ledger
from service.core.ledger.models import Certificate, LedgerEntry
from service.core.ledger.signing import Signer, Verifier
from service.core.requests.models import ForgetRequest
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def served(kernel: Kernel, digits: ReadyModel) -> ForgetRequest:
    """A completed request."""
    request = kernel.ask_classes(digits, 1)
    kernel.serve(digits)
    return request


def path(request: ForgetRequest, what: str) -> str:
    """Where a request's evidence is."""
    return f"/v1/forget-requests/{request.id}/{what}"


def test_the_certificate_verifies_under_the_published_key(api: TestClient, served: ForgetRequest):
    verifier = Verifier.parse(api.get("/v1/log/vkey").text.strip())

    answer = api.get(path(served, "certificate"))

    assert answer.headers["Content-Type"] == "application/vnd.in-toto+json"
    claim = certificate.verify(answer.content, verifier)
    assert (claim.model, claim.version, claim.target.num_samples) == ("digits", 2, 6)


def test_a_browser_gets_a_page_without_scripts(api: TestClient, served: ForgetRequest):
    answer = api.get(path(served, "certificate"), headers=BROWSER)

    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Certificate" in answer.text and "<script" not in answer.text
    assert answer.headers["Vary"] == "Accept"


def test_a_stored_certificate_that_was_altered_gets_no_page(
    api: TestClient, served: ForgetRequest, sessions: Sessions
):
    envelope = api.get(path(served, "certificate")).content
    with transaction(sessions) as session:
        session.execute(update(Certificate).values(envelope=envelope.replace(b'"sig":"', b'"sig":"AAAA')))

    answer = api.get(path(served, "certificate"), headers=BROWSER)

    assert (answer.status_code, answer.json()["code"]) == (500, "integrity_broken")


def test_an_open_request_has_no_certificate(api: TestClient, kernel: Kernel, digits: ReadyModel):
    request = kernel.ask_classes(digits, 1)

    for what in ("certificate", "proof"):
        answer = api.get(path(request, what))
        assert (answer.status_code, answer.json()["code"]) == (404, "no_certificate")


def test_the_proof_waits_for_the_sequencer_and_then_holds(
    api: TestClient, served: ForgetRequest, sessions: Sessions, signer: Signer
):
    waiting = api.get(path(served, "proof"))
    assert (waiting.status_code, waiting.json()["code"]) == (404, "not_sequenced")
    assert int(waiting.headers["Retry-After"]) > 0
    with transaction(sessions) as session:
        assert ledger.sequence(session, signer) > 0

    answer = api.get(path(served, "proof"))

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    found = proof.parse(answer.content)
    with transaction(sessions) as session:
        entry_id = ledger.certificate_of(session, served.id).entry_id
        entry = session.get_one(LedgerEntry, entry_id).entry
    head = proof.verify(found, entry, signer.verifier)
    assert merkle.leaf_hash(entry) and head.origin == signer.name


def test_the_timeline_tells_each_change_in_order(api: TestClient, served: ForgetRequest):
    items = api.get(path(served, "timeline")).json()["items"]

    assert [item["kind"] for item in items] == [
        "request.received", "request.queued", "request.running", "request.auditing", "request.completed",
    ]  # fmt: skip
    assert all(item["body"]["request"] == str(served.id) for item in items)
    assert [item["at"] for item in items] == sorted(item["at"] for item in items)


def test_an_unknown_request_has_no_evidence(api: TestClient):
    for what in ("certificate", "proof", "timeline"):
        answer = api.get(f"/v1/forget-requests/01a1fbbe-82dd-758b-9023-f5aac74d5998/{what}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
