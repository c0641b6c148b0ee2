"""One id a request, whatever the caller sends."""

import pytest
import structlog
from starlette.testclient import TestClient


def test_the_callers_id_comes_back_and_is_on_every_line(api: TestClient):
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        answer = api.get("/v1/models", headers={"X-Request-ID": "trace-7"})

    assert answer.headers["X-Request-ID"] == "trace-7"
    assert lines and all(line["request_id"] == "trace-7" for line in lines)


@pytest.mark.parametrize("sent", ["", "a b", "x" * 101, "line\\nbreak", "ä"])
def test_an_id_that_could_spoil_a_log_is_replaced(lone_api: TestClient, sent: str):
    answer = lone_api.get("/livez", headers={"X-Request-ID": sent.encode("latin-1")})

    assert answer.headers["X-Request-ID"] != sent
    assert len(answer.headers["X-Request-ID"]) == 32


def test_a_refusal_of_a_stranger_carries_an_id(lone_api: TestClient):
    answer = lone_api.get("/v1/models", headers={"Authorization": ""})

    assert answer.status_code == 401
    assert answer.headers["X-Request-ID"]
