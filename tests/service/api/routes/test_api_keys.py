"""Keys: shown once, listed without their secret, taken back for good."""

import pytest
from starlette.testclient import TestClient

PATH = "/v1/api-keys"


def test_the_secret_is_shown_once(api: TestClient):
    made = api.post(PATH, json={"name": "desk", "scopes": ["requests:write", "requests:read"]})

    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    (listed,) = api.get(PATH).json()["items"]
    assert listed["scopes"] == ["requests:read", "requests:write"]
    assert listed["revoked_at"] is None
    assert "key" not in listed and made.json()["key"] not in api.get(PATH).text


def test_a_revoked_key_stays_on_the_list(api: TestClient):
    key_id = api.post(PATH, json={"name": "desk", "scopes": ["admin"]}).json()["id"]

    answer = api.delete(f"{PATH}/{key_id}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert api.get(PATH).json()["items"][0]["revoked_at"] is not None


def test_an_unknown_key_is_not_found(api: TestClient):
    assert api.delete(f"{PATH}/01a1fbbe-82dd-758b-9023-f5aac74d5998").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "x"}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]},
     {"name": "", "scopes": ["admin"]}, {"name": "x" * 101, "scopes": ["admin"]},
     {"name": "a\x00b", "scopes": ["admin"]}, {"name": "x", "scopes": ["admin"], "key": "mine"}],
)  # fmt: skip
def test_what_is_no_key_is_refused(lone_api: TestClient, body: dict[str, object]):
    assert lone_api.post(PATH, json=body).status_code == 422
