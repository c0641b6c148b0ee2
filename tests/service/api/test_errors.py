"""Problem documents: one status a family, and nothing of what the caller sent."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.api.errors import MEDIA_TYPE, STATUS, problem_of
from service.core import errors
from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import AS_ADMIN, NO_DATABASE

SECRET = "alice@example.org"
JSON = {"Content-Type": "application/json"}


def families(root: type[errors.LetheError]) -> set[type[errors.LetheError]]:
    """Every family below one."""
    direct = set(root.__subclasses__())
    return direct.union(*(families(one) for one in direct))


def test_every_family_of_the_kernel_has_a_status():
    assert {one for one in families(errors.LetheError) if one.__module__ == errors.__name__} == set(STATUS)


def test_a_problem_names_the_place_of_each_fault():
    error = errors.Invalid(
        "No.", code="unknown_class", details=[{"pointer": "/target/classes/0", "reason": "x"}]
    )

    answer = problem_of(error)

    assert (answer.status_code, answer.media_type) == (422, MEDIA_TYPE)
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:lethe:problem:unknown_class",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "No.",
        "code": "unknown_class",
        "errors": [{"pointer": "/target/classes/0", "reason": "x"}],
    }


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"model": "digits", "target": {"kind": SECRET}}, "/target"),
        ({"model": "digits", "target": {"kind": "class", "classes": [SECRET]}}, "/target/classes/0"),
        ({"model": "digits", "target": {"kind": "class", "classes": SECRET}}, "/target/classes"),
        (
            {"model": "digits", "target": {"kind": "subject", "subject_id": {"a": SECRET}}},
            "/target/subject_id",
        ),
        ({"model": "digits", "target": {"kind": "subject", SECRET: 1}}, "/target"),
        ({"model": SECRET, "target": {"kind": "class", "classes": [1]}}, "/model"),
        ({"model": "digits", "target": {"kind": "class", "classes": [1]}, SECRET: 1}, ""),
        (
            {"model": "digits", "target": {"kind": "class", "classes": [1]}, "submitted_at": SECRET},
            "/submitted_at",
        ),
        (
            {"model": "digits", "target": {"kind": "class", "classes": [1]}, "callback_url": SECRET},
            "/callback_url",
        ),
    ],
)
def test_a_refusal_never_repeats_what_was_sent(lone_api: TestClient, body: Any, pointer: str):
    answer = lone_api.post("/v1/forget-requests", json=body)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert SECRET not in answer.text
    assert "input" not in answer.json() and "ctx" not in answer.text
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]


def test_a_key_that_the_caller_made_up_is_not_repeated(lone_api: TestClient):
    policy = {"audit_limits": {SECRET: "high"}}
    body = {
        "name": "m",
        "architecture": {"factory": "a:b"},
        "dataset": {"source": "digits"},
        "policy": policy,
    }

    answer = lone_api.post("/v1/models", json=body)

    assert answer.json()["errors"][0]["pointer"] == "/policy/audit_limits"
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "digits", "target": {"kind": "subject", "subject_id": "\\ud800"}}',
        '{"model": "digits", "target": {"kind": "samples", "sample_ids": ["train/1", "\\udfff"]}}',
        '{"model": "digits", "target": {"kind": "subject", "\\ud800": "x"}}',
        '{"model": "\\ud800", "target": {"kind": "class", "classes": [1]}}',
        '{"model": "digits", "method": "\\ud800", "target": {"kind": "class", "classes": [1]}}',
        '{"model": "digits", "ground": "\\ud800", "target": {"kind": "class", "classes": [1]}}',
        '{"\\ud800": 1}',
        '"\\ud800"',
    ],
)
def test_a_lone_surrogate_is_the_callers_fault(lone_api: TestClient, body: str):
    answer = lone_api.post("/v1/forget-requests", content=body, headers=JSON)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "body", [b"{", b"", b"nonsense", b'{"model": "\xff\xfe"}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_malformed(lone_api: TestClient, body: bytes):
    answer = lone_api.post("/v1/forget-requests", content=body, headers=JSON)

    expected = 422 if not body else 400  # no body at all is a missing one
    assert answer.status_code == expected, answer.text
    assert answer.headers["Content-Type"] == MEDIA_TYPE


def test_an_unknown_path_and_a_wrong_method_are_problems_too(lone_api: TestClient):
    unknown, wrong = lone_api.get("/v1/nothing"), lone_api.put("/livez")

    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET"


def test_what_nobody_expected_is_told_without_details(
    app: FastAPI, api: TestClient, caplog: pytest.LogCaptureFixture
):
    @app.get("/v1/broken")
    def broken() -> None:
        raise RuntimeError(SECRET)

    answer = api.get("/v1/broken", headers={"X-Request-ID": "r-1"})

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["X-Request-ID"] == "r-1"
    assert "r-1" in answer.json()["detail"]
    assert SECRET not in answer.text


def test_a_database_that_is_out_is_unavailable(service_settings: ServiceSettings):
    app = create_app(service_settings.model_copy(update={"database_url": NO_DATABASE}))

    with TestClient(app, headers=AS_ADMIN) as client:
        answer = client.get("/v1/models")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
