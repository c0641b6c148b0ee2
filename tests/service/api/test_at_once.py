"""`latest` from memory: the same answer as the route's, without a query, and never after a change."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.fixtures.api import MakeKey, statements
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel

PATH = "/v1/models/digits/versions/latest"
AGES = 1000.0
"""Seconds: only news may end what is remembered."""


def test_what_is_remembered_is_told_without_a_query(
    app: FastAPI, api: TestClient, digits: ReadyModel, make_key: MakeKey
):
    key = make_key("models:read")
    etag = api.get(PATH, headers=key).headers["ETag"]

    with statements(app) as asked:
        had = api.get(PATH, headers={**key, "If-None-Match": etag})
        told = api.get(PATH, headers=key)

    assert (had.status_code, told.status_code, asked) == (304, 200, [])


def test_it_is_told_as_the_route_tells_it(api: TestClient, digits: ReadyModel):
    api.get(PATH)
    for sent in ({}, {"If-None-Match": "*"}):
        at_once, by_route = api.get(PATH, headers=sent), api.get(PATH, headers=sent, params={"wait": 0})

        assert (at_once.status_code, at_once.content) == (by_route.status_code, by_route.content)
        names = by_route.headers.keys() - {"x-request-id"}
        assert {name: at_once.headers[name] for name in names} == {
            name: by_route.headers[name] for name in names
        }
        assert "x-request-id" in at_once.headers


def test_a_key_without_the_scope_is_refused_what_others_are_told(
    api: TestClient, digits: ReadyModel, make_key: MakeKey
):
    api.get(PATH)

    answer = api.get(PATH, headers=make_key("requests:read"))

    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


def test_it_is_counted_under_its_route(api: TestClient, digits: ReadyModel):
    for _ in range(3):
        api.get(PATH, headers={"If-None-Match": "*"})

    (line,) = [
        line
        for line in api.get("/metrics").text.splitlines()
        if line.startswith("lethe_http_request_seconds_count") and 'status="304"' in line
    ]
    assert 'route="/v1/models/{model}/versions/latest"' in line and line.endswith(" 3.0")


def forget_a_class(kernel: Kernel, digits: ReadyModel) -> None:
    """Publish what passed its audit."""
    kernel.ask_classes(digits, 1)
    kernel.serve(digits)


def forget_for_now(kernel: Kernel, digits: ReadyModel) -> None:
    """Publish an interim version."""
    kernel.ask_classes(digits, 1)
    kernel.serve_interim(digits)


def accept_what_was_refused(kernel: Kernel, digits: ReadyModel) -> None:
    """Publish what a person accepted."""
    request = kernel.ask_classes(digits, 1)
    kernel.refuse(digits)
    kernel.accept(request)
    kernel.publish_accepted(digits)


@pytest.mark.parametrize("publish", [forget_a_class, forget_for_now, accept_what_was_refused])
def test_every_way_to_publish_ends_what_is_remembered(
    app: FastAPI,
    api: TestClient,
    kernel: Kernel,
    digits: ReadyModel,
    publish: Callable[[Kernel, ReadyModel], None],
):
    app.state.kernel.served.seconds = AGES
    before = api.get(PATH).headers["ETag"]

    publish(kernel, digits)

    told = api.get(PATH, headers={"If-None-Match": before}, params={"wait": 10})
    assert (told.status_code, told.json()["version"], told.json()["revocation_floor"]) == (200, 2, 2)
    assert api.get(PATH).content == told.content


def test_a_first_version_is_told_where_there_was_none(api: TestClient, make_ready: Callable[..., object]):
    assert api.get(PATH).status_code == 404

    make_ready("digits")

    assert api.get(PATH).status_code == 200
