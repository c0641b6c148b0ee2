"""Who may call what: closed unless opened, one scope a route."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.core.access.models import Scope
from tests.fixtures.api import ADMIN_KEY, MakeKey

OPEN = {
    "/v1/log/checkpoint",
    "/v1/log/vkey",
    "/v1/log/tile/{path}",
    "/livez",
    "/readyz",
    "/metrics",
}
SCOPES = {
    ("post", "/v1/models"): Scope.MODELS_WRITE,
    ("get", "/v1/models"): Scope.MODELS_READ,
    ("get", "/v1/models/{model}"): Scope.MODELS_READ,
    ("put", "/v1/models/{model}/weights"): Scope.MODELS_WRITE,
    ("get", "/v1/models/{model}/versions"): Scope.MODELS_READ,
    ("get", "/v1/models/{model}/versions/latest"): Scope.MODELS_READ,
    ("get", "/v1/models/{model}/versions/{number}"): Scope.MODELS_READ,
    ("get", "/v1/models/{model}/versions/{number}/files/{name}"): Scope.MODELS_READ,
    ("post", "/v1/forget-requests"): Scope.REQUESTS_WRITE,
    ("post", "/v1/forget-requests/batch"): Scope.REQUESTS_WRITE,
    ("get", "/v1/forget-requests"): Scope.REQUESTS_READ,
    ("get", "/v1/forget-requests/{request_id}"): Scope.REQUESTS_READ,
    ("delete", "/v1/forget-requests/{request_id}"): Scope.REQUESTS_WRITE,
    ("post", "/v1/forget-requests/{request_id}/decision"): Scope.REQUESTS_WRITE,
    ("get", "/v1/forget-requests/{request_id}/certificate"): Scope.AUDIT_READ,
    ("get", "/v1/forget-requests/{request_id}/report"): Scope.AUDIT_READ,
    ("get", "/v1/forget-requests/{request_id}/proof"): Scope.AUDIT_READ,
    ("get", "/v1/forget-requests/{request_id}/timeline"): Scope.AUDIT_READ,
    ("get", "/v1/methods"): Scope.MODELS_READ,
    ("post", "/v1/api-keys"): Scope.ADMIN,
    ("get", "/v1/api-keys"): Scope.ADMIN,
    ("delete", "/v1/api-keys/{key_id}"): Scope.ADMIN,
    ("get", "/v1/jobs"): Scope.ADMIN,
    ("post", "/v1/jobs/{job_id}/retry"): Scope.ADMIN,
}
VALUES = {
    "model": "digits",
    "number": "1",
    "name": "model.safetensors",
    "request_id": "01a1fbbe-82dd-758b-9023-f5aac74d5998",
    "key_id": "01a1fbbe-82dd-758b-9023-f5aac74d5998",
    "job_id": "01a1fbbe-82dd-758b-9023-f5aac74d5998",
    "path": "0/000",
}


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path template of everything that the API describes."""
    return [(method, path) for path, methods in app.openapi()["paths"].items() for method in methods]


def test_every_route_but_the_open_ones_refuses_a_caller_without_a_key(app: FastAPI, api: TestClient):
    for method, path in routes_of(app):
        answer = api.request(method, path.format(**VALUES), headers={"Authorization": ""})

        if path in OPEN:
            assert answer.status_code != 401, (method, path)
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "unauthenticated"


def test_every_route_but_the_open_ones_needs_exactly_its_scope(
    app: FastAPI, api: TestClient, make_key: MakeKey
):
    closed = [(method, path) for method, path in routes_of(app) if path not in OPEN]
    assert set(closed) == set(SCOPES)
    for (method, path), scope in SCOPES.items():
        others = [one.value for one in Scope if one not in (scope, Scope.ADMIN)]
        refused = api.request(method, path.format(**VALUES), headers=make_key(*others))
        admitted = api.request(method, path.format(**VALUES), headers=make_key(scope.value))

        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope"), (method, path)
        assert admitted.status_code not in (401, 403), (method, path)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        f"Basic {ADMIN_KEY}",
        ADMIN_KEY,
        "Bearer \xe9\xff",
        "bearer " + "x" * 5000,
    ],
)
def test_what_is_no_known_key_is_refused(api: TestClient, header: str):
    answer = api.get("/v1/models", headers={"Authorization": header.encode("latin-1")})

    assert answer.status_code == 401


def test_the_scheme_is_read_in_any_case(api: TestClient):
    assert api.get("/v1/models", headers={"Authorization": f"bearer {ADMIN_KEY}"}).status_code == 200


def test_a_revoked_key_ends_at_once(api: TestClient, make_key: MakeKey):
    key = make_key("models:read")
    assert api.get("/v1/models", headers=key).status_code == 200
    (listed,) = api.get("/v1/api-keys").json()["items"]

    assert api.delete(f"/v1/api-keys/{listed['id']}").status_code == 204

    assert api.get("/v1/models", headers=key).status_code == 401


def test_a_stranger_is_refused_before_the_body_is_read(api: TestClient):
    answer = api.post("/v1/forget-requests", content=b"{", headers={"Authorization": "Bearer nobody"})

    assert answer.status_code == 401
