"""Signing in: a key becomes a cookie that scripts cannot read, and never part of an address."""

from http.cookies import Morsel, SimpleCookie

import pytest
from starlette.testclient import TestClient

from service.core.access.models import Scope
from service.core.db.session import Sessions
from tests.fixtures.dashboard import ADMIN_KEY, make_key


def cookie_of(header: str) -> "Morsel[str]":
    return SimpleCookie(header)["lethe_dashboard"]


def test_key_becomes_a_strict_cookie(stranger: TestClient) -> None:
    answer = stranger.post("/dashboard/login", data={"key": ADMIN_KEY, "next": "/dashboard/models"})

    cookie = cookie_of(answer.headers["set-cookie"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/models")
    assert cookie["httponly"] and cookie["samesite"] == "strict" and cookie["path"] == "/dashboard"
    assert int(cookie["max-age"]) > 0
    assert ADMIN_KEY not in str(answer.headers)
    assert stranger.get("/dashboard/models").status_code == 200


def test_cookie_is_for_https_alone_where_the_page_came_by_it(stranger: TestClient) -> None:
    answer = stranger.post("https://testserver/dashboard/login", data={"key": ADMIN_KEY})

    assert cookie_of(answer.headers["set-cookie"])["secure"]


def test_unknown_key_is_asked_for_again(stranger: TestClient) -> None:
    answer = stranger.post("/dashboard/login", data={"key": "<b>nope", "next": "/dashboard/models"})

    assert answer.status_code == 401
    assert "not known" in answer.text and "nope" not in answer.text
    assert 'value="/dashboard/models"' in answer.text
    assert "set-cookie" not in answer.headers


def test_key_without_the_scope_gets_no_session(stranger: TestClient, sessions: Sessions) -> None:
    answer = stranger.post("/dashboard/login", data={"key": make_key(sessions, Scope.MODELS_READ)})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/dashboard//evil", "/dashboard/\\evil", "/v1/models", ""],
)
def test_sign_in_leads_nowhere_else(stranger: TestClient, elsewhere: str) -> None:
    answer = stranger.post("/dashboard/login", data={"key": ADMIN_KEY, "next": elsewhere})

    assert answer.headers["location"] == "/dashboard/"


def test_form_of_another_site_is_refused(stranger: TestClient) -> None:
    for address in ("/dashboard/login", "/dashboard/logout"):
        answer = stranger.post(address, data={"key": ADMIN_KEY}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_signing_out_ends_the_session(stranger: TestClient) -> None:
    stranger.post("/dashboard/login", data={"key": ADMIN_KEY})

    answer = stranger.post("/dashboard/logout")

    assert answer.headers["location"] == "/dashboard/login"
    assert stranger.get("/dashboard/").status_code == 303
