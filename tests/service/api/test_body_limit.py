"""Bodies that are too long are refused, announced or not."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import AS_ADMIN

LIMIT = 1000
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def narrow(service_settings: ServiceSettings) -> Iterator[TestClient]:
    """A service that reads little."""
    app = create_app(
        service_settings.model_copy(update={"max_body_bytes": LIMIT, "max_weights_bytes": 2 * LIMIT})
    )
    with TestClient(app, headers=AS_ADMIN) as client:
        yield client


def pieces(num_bytes: int) -> Iterator[bytes]:
    """A body that does not announce its length."""
    for _ in range(num_bytes // 100):
        yield b" " * 100


def test_an_announced_body_is_refused_unread(narrow: TestClient):
    answer = narrow.post("/v1/forget-requests", content=b" " * (LIMIT + 1), headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_plain_request_is_refused_if_it_is_too_long(narrow: TestClient):
    body = b'{"model": "digits", "target": {"kind": "class", "classes": [1]}}'.ljust(LIMIT + 1)

    answer = narrow.post("/v1/forget-requests", content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_that_grows_too_long_is_refused_on_the_way(narrow: TestClient):
    answer = narrow.post("/v1/forget-requests", content=pieces(LIMIT + 100), headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_at_the_limit_is_read(narrow: TestClient):
    answer = narrow.post("/v1/forget-requests", content=pieces(LIMIT), headers=JSON)

    assert answer.status_code == 400


def test_an_announced_length_that_is_no_number_is_not_trusted(narrow: TestClient):
    headers = {**JSON, "Content-Length": "many"}

    answer = narrow.post("/v1/forget-requests", content=pieces(LIMIT + 100), headers=headers)

    assert answer.status_code == 413
