"""Who may look: a Bearer key or a session cookie, with the scope to read requests."""

import uuid

from starlette.testclient import TestClient

from service.core.access import service as access
from service.core.access.models import Scope
from service.core.db.session import Sessions, transaction
from service.dashboard.live import FRAGMENT_HEADER
from tests.fixtures.dashboard import ADMIN_KEY, make_key
from tests.fixtures.forgetting import Kernel, classes
from tests.fixtures.registry import ReadyModel


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_stranger_is_sent_to_sign_in_and_told_where_to_go_after(stranger: TestClient) -> None:
    answer = stranger.get("/dashboard/models/digits?x=1")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/login?next=%2Fdashboard%2Fmodels%2Fdigits%3Fx%3D1"


def test_script_of_a_stranger_is_refused_and_not_redirected(stranger: TestClient) -> None:
    assert stranger.get("/dashboard/", headers={FRAGMENT_HEADER: "1"}).status_code == 401


def test_bearer_key_that_may_read_requests_opens_the_pages(stranger: TestClient, sessions: Sessions) -> None:
    secret = make_key(sessions, Scope.REQUESTS_READ)

    assert stranger.get("/dashboard/", headers=bearer(secret)).status_code == 200
    assert stranger.get("/dashboard/", headers=bearer(ADMIN_KEY)).status_code == 200


def test_key_without_the_scope_is_refused(stranger: TestClient, sessions: Sessions) -> None:
    secret = make_key(sessions, Scope.REQUESTS_WRITE, Scope.MODELS_READ)

    answer = stranger.get("/dashboard/", headers=bearer(secret))

    assert answer.status_code == 403
    assert "requests:read" in answer.text


def test_unknown_key_is_refused(stranger: TestClient) -> None:
    assert stranger.get("/dashboard/", headers=bearer("lethe_nobody")).status_code == 401


def test_evidence_needs_the_scope_of_an_auditor(
    stranger: TestClient, sessions: Sessions, kernel: Kernel, digits: ReadyModel
) -> None:
    request = kernel.ask(digits.name, classes(1))
    kernel.serve(digits)
    reader = bearer(make_key(sessions, Scope.REQUESTS_READ))
    auditor = bearer(make_key(sessions, Scope.REQUESTS_READ, Scope.AUDIT_READ))

    for name in ("certificate", "certificate.dsse.json", "proof.tlog-proof"):
        assert stranger.get(f"/dashboard/requests/{request.id}/{name}", headers=reader).status_code == 403
    address = f"/dashboard/requests/{request.id}/certificate"
    assert stranger.get(address, headers=auditor).status_code == 200


def test_revoked_key_ends_its_session(stranger: TestClient, sessions: Sessions) -> None:
    stranger.post("/dashboard/login", data={"key": make_key(sessions, Scope.REQUESTS_READ)})
    assert stranger.get("/dashboard/").status_code == 200

    with transaction(sessions) as session:
        access.revoke_key(session, access.list_keys(session)[0].id)

    assert stranger.get("/dashboard/").status_code == 303


def test_forged_cookie_opens_nothing(stranger: TestClient) -> None:
    stranger.cookies.set("lethe_dashboard", f"{uuid.uuid4()}.99999999999.{'0' * 64}")

    assert stranger.get("/dashboard/").status_code == 303
