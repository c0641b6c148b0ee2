"""Plain requests are taken before they are routed: as the route takes them, and nothing that it refuses."""

import json
from collections.abc import Iterator
from copy import copy

import pytest
from fastapi import FastAPI
from httpx import Response
from starlette.testclient import TestClient

from service.api import plain_intake
from service.api.plain_intake import MAX_PLAIN_BYTES, ROUTE, PlainIntake
from tests.fixtures.api import MakeKey
from tests.fixtures.registry import MakeReady, ReadyModel

PATH = "/v1/forget-requests"
JSON = {"Content-Type": "application/json"}
CLASS = {"model": "digits", "target": {"kind": "class", "classes": [1]}}
DIFFERS = frozenset({"id", "links", "received_at", "due_at", "correlation_id"})


def body_of(**fields: object) -> bytes:
    """The body of a request for a class, with these fields changed."""
    return json.dumps({**CLASS, **fields}).encode()


def by_route(api: TestClient, body: bytes, **headers: str) -> Response:
    """Ask so that the route answers: the body's length is not announced."""

    def pieces() -> Iterator[bytes]:
        yield body

    return api.post(PATH, content=pieces(), headers={**JSON, **headers})


def at_once(api: TestClient, body: bytes, **headers: str) -> Response:
    """Ask as nearly every caller does."""
    return api.post(PATH, content=body, headers={**JSON, **headers})


def told(answer: Response) -> dict[str, object]:
    """What an answer says, but for what no two of them share."""
    return {name: value for name, value in answer.json().items() if name not in DIFFERS}


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the paths of calls that are handed on."""
    paths: list[str] = []
    hand_on = PlainIntake.__call__

    async def noted(self: PlainIntake, scope, receive, send) -> None:
        async def app(scope, receive, send) -> None:
            paths.append(scope["path"])
            await self.app(scope, receive, send)

        inner = copy(self)
        inner.app = app
        await hand_on(inner, scope, receive, send)

    monkeypatch.setattr(PlainIntake, "__call__", noted)
    return paths


def test_it_is_taken_as_the_route_takes_it(api: TestClient, digits: ReadyModel, routed: list[str]):
    body = body_of(ground="art-17-1-a", submitted_at="2026-01-31T23:30:00.5+02:00")

    plain, described = at_once(api, body), by_route(api, body)

    assert routed == [PATH]
    assert (plain.status_code, told(plain)) == (described.status_code, told(described)) == (202, told(plain))
    assert plain.headers.keys() == described.headers.keys()
    assert plain.headers["Location"] == f"{PATH}/{plain.json()['id']}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b'\xef\xbb\xbf{"model":"digits"}',
        b'{"model":"digits","target":{"kind":"subject","subject_id":"\\ud800"}}',
        b'{"model":"digits","model":"other","target":{"kind":"class","classes":[1]}}',
        b'{"model":"digits","target":{"kind":"class","classes":[%s]}}' % (b"9" * 5000),
        body_of(model="unknown"),
        body_of(model="no name"),
        body_of(target={"kind": "class", "classes": [1.0]}),
        body_of(target={"kind": "class", "classes": [True]}),
        body_of(target={"kind": "class", "classes": [99]}),
        body_of(target={"kind": "nothing"}),
        body_of(target={"kind": "samples", "sample_ids": []}),
        body_of(method="magic"),
        body_of(submitted_at="2999-01-01T00:00:00Z"),
        body_of(submitted_at=1),
        body_of(callback_url="https://example.org"),
        body_of(person="alice"),
    ],
)
def test_what_the_route_refuses_is_refused_in_its_words(api: TestClient, digits: ReadyModel, body: bytes):
    plain, described = at_once(api, body), by_route(api, body)

    assert plain.status_code >= 400
    assert (plain.status_code, plain.json()) == (described.status_code, described.json())
    names = described.headers.keys() - {"x-request-id"}
    assert {name: plain.headers[name] for name in names} == {name: described.headers[name] for name in names}


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "x" * 256},
        {"Idempotency-Key": "\u00e9"},
    ],
)
def test_other_headers_are_the_routes_affair(
    api: TestClient, digits: ReadyModel, routed: list[str], headers: dict[str, str]
):
    latin = {name: value.encode("latin-1") for name, value in headers.items()}
    plain = api.post(PATH, content=body_of(), headers={**JSON, **latin})

    assert routed == [PATH]
    assert plain.status_code == (202 if "charset" in str(headers) else 422)


def test_long_bodies_are_handed_on_whole(api: TestClient, digits: ReadyModel, routed: list[str]):
    ids = digits.sample_ids(0)[0]
    longest = body_of(target={"kind": "samples", "sample_ids": [ids]}) + b" " * MAX_PLAIN_BYTES

    answer = at_once(api, longest)

    assert (answer.status_code, routed) == (202, [PATH])


def test_a_key_stands_for_the_same_request_either_way(api: TestClient, digits: ReadyModel):
    first = at_once(api, body_of(), **{"Idempotency-Key": "k"})

    again = by_route(api, body_of(), **{"Idempotency-Key": "k"})
    other = at_once(api, body_of(ground="other"), **{"Idempotency-Key": "k"})

    assert first.json() | {"correlation_id": 0} == again.json() | {"correlation_id": 0}
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_key_without_the_scope_is_refused(api: TestClient, digits: ReadyModel, make_key: MakeKey):
    answer = at_once(api, body_of(), **make_key("requests:read"))

    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


def test_a_target_of_many_goes_by_itself(
    api: TestClient, app: FastAPI, make_ready: MakeReady, monkeypatch: pytest.MonkeyPatch
):
    model = make_ready("many")
    monkeypatch.setattr(plain_intake.reception, "MAX_SHARED", 1)
    monkeypatch.setattr(app.state.kernel.intake, "submit", None)

    answer = at_once(
        api, body_of(model="many", target={"kind": "samples", "sample_ids": model.sample_ids(0, 1)})
    )

    assert answer.status_code == 202


def test_it_is_counted_under_its_route(api: TestClient, digits: ReadyModel):
    at_once(api, body_of())
    at_once(api, body_of(model="unknown"))

    lines = api.get("/metrics").text.splitlines()

    counted = [line for line in lines if line.startswith("lethe_http_request_seconds_count")]
    assert ROUTE.path == PATH
    assert sum(f'method="POST",route="{PATH}"' in line and line.endswith(" 1.0") for line in counted) == 2
