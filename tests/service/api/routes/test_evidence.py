"""The evidence of a request, as a stranger would check it."""

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.ledger import canonical, certificate, merkle, proof
from service.core.ledger import repository as ledger
from service.core.ledger.models import Certificate, LedgerEntry
from service.core.ledger.signing import Signer, Verifier
from service.core.requests import runs
from service.core.requests.models import ForgetRequest
from tests.fixtures.api import MakeKey
from tests.fixtures.audit_reports import audit_report, rung
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


@pytest.fixture
def refused(kernel: Kernel, digits: ReadyModel, sessions: Sessions) -> ForgetRequest:
    """A request that nothing could serve, with a full audit."""
    request = kernel.ask_classes(digits, 1)
    lease, assignment = kernel.begin(digits)
    with transaction(sessions) as session:
        runs.begin_audit(session, lease, assignment.run_id, rung("class", "ssd"))
    with transaction(sessions) as session:
        runs.note_audit(session, lease, assignment.run_id, audit_report([1], "fail"))
    with transaction(sessions) as session:
        runs.refuse(session, lease, assignment.run_id)
    return request


def test_the_report_of_a_served_request_states_what_its_certificate_states(
    api: TestClient, served: ForgetRequest
):
    verifier = Verifier.parse(api.get("/v1/log/vkey").text.strip())
    claim = certificate.verify(api.get(path(served, "certificate")).content, verifier)

    answer = api.get(path(served, "report"))

    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == ("application/json", "Accept")
    assert answer.content == canonical.json_bytes(answer.json())
    assert answer.json()["statement"] == claim.statement
    assert answer.json()["asked"] == [
        {"kind": "class", "num_requests": 1, "num_classes": 1, "num_samples": 6}
    ]


def test_a_refused_request_has_a_report_too(api: TestClient, refused: ForgetRequest):
    report = api.get(path(refused, "report")).json()

    assert (report["state"], report["version"], report["guarantee"]) == ("refused", None, None)
    assert report["statement"].startswith("Nothing of digits for version 1 was published")


def test_a_browser_gets_the_report_as_a_page_without_scripts(api: TestClient, refused: ForgetRequest):
    answer = api.get(path(refused, "report"), headers=BROWSER)

    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Forgotten classes are not recognised" in answer.text and "<script" not in answer.text


@pytest.mark.parametrize(
    ("accept", "query", "form"),
    [
        ("*/*", "", "application/json"),
        ("application/json, text/html;q=0.5", "", "application/json"),
        ("image/svg+xml", "", "image/svg+xml"),
        ("*/*", "?plot=classes", "image/svg+xml"),
        ("application/json", "?plot=classes", "application/json"),
        ("image/avif,image/svg+xml,image/*,*/*;q=0.8", "?plot=scores", "image/svg+xml"),
    ],
)
def test_the_report_comes_in_the_form_that_is_asked_for(
    api: TestClient, refused: ForgetRequest, accept: str, query: str, form: str
):
    answer = api.get(path(refused, f"report{query}"), headers={"Accept": accept})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, form)


def test_a_plot_that_the_audit_does_not_have_is_told_with_those_it_has(
    api: TestClient, refused: ForgetRequest
):
    missing = api.get(path(refused, "report?plot=resurrection"))
    unknown = api.get(path(refused, "report?plot=everything"))

    assert (missing.status_code, missing.json()["code"]) == (404, "no_plot")
    assert "It has: scores, classes." in missing.json()["detail"]
    assert unknown.status_code == 422


def test_a_request_that_nothing_was_audited_for_has_no_report(
    api: TestClient, kernel: Kernel, digits: ReadyModel
):
    request = kernel.ask_classes(digits, 1)
    waiting = api.get(path(request, "report"))
    kernel.begin(digits)
    running = api.get(path(request, "report"))

    for answer in (waiting, running):
        assert (answer.status_code, answer.json()["code"]) == (404, "no_report")
    assert "this request is running" in running.json()["detail"]


def test_a_report_needs_the_right_to_evidence(api: TestClient, make_key: MakeKey, refused: ForgetRequest):
    assert api.get(path(refused, "report"), headers=make_key("requests:read")).status_code == 403
    assert api.get(path(refused, "report"), headers=make_key("audit:read", name="b")).status_code == 200


def test_what_was_forgotten_before_shows_the_report_of_the_run_that_did_it(
    api: TestClient, kernel: Kernel, digits: ReadyModel, served: ForgetRequest
):
    again = kernel.ask_classes(digits, 1)

    assert api.get(path(again, "report")).content == api.get(path(served, "report")).content


def test_the_timeline_tells_each_change_in_order(api: TestClient, served: ForgetRequest):
    items = api.get(path(served, "timeline")).json()["items"]

    assert [item["kind"] for item in items] == [
        "request.received", "request.queued", "request.running", "request.auditing", "request.completed",
    ]  # fmt: skip
    assert all(item["body"]["request"] == str(served.id) for item in items)
    assert [item["at"] for item in items] == sorted(item["at"] for item in items)


def test_an_unknown_request_has_no_evidence(api: TestClient):
    for what in ("certificate", "proof", "report", "timeline"):
        answer = api.get(f"/v1/forget-requests/01a1fbbe-82dd-758b-9023-f5aac74d5998/{what}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
