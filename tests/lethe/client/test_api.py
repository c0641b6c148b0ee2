"""The client: what it sends, what it makes of answers, how it waits."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from lethe.client import LetheApiError, LetheClient, LetheUnreachable, Wish, api
from lethe.client.records import class_target, samples_target
from tests.fixtures.fake_lethe import KEY, FakeLethe, forget_request, problem


def client_of(fake: FakeLethe) -> LetheClient:
    return LetheClient("http://lethe.test", KEY, fake.transport)


def test_weights_travel_with_their_digest_and_length(tmp_path: Path) -> None:
    fake, data = FakeLethe(), bytes(range(256)) * 1000
    (tmp_path / "weights").write_bytes(data)

    model = client_of(fake).upload_weights("digits", tmp_path / "weights")

    sent = fake.seen[-1]
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert model.state == "preparing"
    assert fake.files[1] == data
    assert sent.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert sent.headers["Content-Length"] == str(len(data))
    assert "Transfer-Encoding" not in sent.headers


def test_forget_request_carries_a_new_idempotency_key_each_time() -> None:
    fake = FakeLethe()
    asked_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    first = client_of(fake).forget("digits", class_target([3]), submitted_at=asked_at, ground="art-17-1-a")
    client_of(fake).forget("digits", samples_target(["train/00017"]))

    keys = [request.headers["Idempotency-Key"] for request in fake.seen]
    assert first.id == "r1"
    assert len(set(keys)) == 2
    assert fake.bodies["POST /v1/forget-requests"] == {
        "model": "digits",
        "target": {"kind": "samples", "sample_ids": ["train/00017"]},
        "method": "auto",
    }


def test_moment_of_asking_is_sent_with_its_offset() -> None:
    fake = FakeLethe()

    client_of(fake).forget("digits", class_target([3]), submitted_at=datetime(2026, 1, 2, tzinfo=UTC))

    assert fake.bodies["POST /v1/forget-requests"]["submitted_at"] == "2026-01-02T00:00:00+00:00"


def test_list_follows_the_link_to_the_next_page() -> None:
    fake = FakeLethe(requests={f"r{number}": forget_request(f"r{number}") for number in range(5)})

    ids = [request.id for request in client_of(fake).requests(model="digits", overdue=True)]

    assert ids == ["r0", "r1", "r2", "r3", "r4"]
    assert str(fake.seen[0].url) == "http://lethe.test/v1/forget-requests?model=digits&overdue=true"


def test_latest_that_did_not_change_is_none() -> None:
    fake = FakeLethe()
    fake.publish(1, b"one", floor=1)
    client = client_of(fake)

    pointer = client.latest("digits")

    assert pointer is not None
    assert pointer.version.version == 1
    assert client.latest("digits", etag=pointer.etag, wait_seconds=30) is None
    assert fake.seen[-1].url.params["wait"] == "30"


def test_problem_document_becomes_an_error_with_its_words() -> None:
    with pytest.raises(LetheApiError, match=r"Not_Found: No such thing. \(HTTP 404\)") as caught:
        client_of(FakeLethe()).request("r9")

    assert (caught.value.status, caught.value.code) == (404, "not_found")


def test_answer_that_is_no_problem_document_becomes_an_error_without_its_body() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(502, text="<html>secret</html>"))

    with pytest.raises(LetheApiError, match=r"^Bad Gateway \(HTTP 502\)$"):
        LetheClient("http://lethe.test", KEY, transport).request("r1")


def test_silence_is_told_with_the_address() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(LetheUnreachable, match=r"http://lethe.test \(connection refused\). Is `lethe up`"):
        LetheClient("http://lethe.test", KEY, httpx.MockTransport(refuse)).request("r1")


def test_follow_tells_each_change_once_and_ends_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "POLL_SECONDS", 0.0)
    half = {"status": "running", "progress": {"stage": "unlearn", "fraction": 0.5}}
    fake = FakeLethe(requests={"r1": forget_request("r1")})
    fake.stages = [{}, {}, half, half, {"status": "completed", "progress": None}]
    told: list[tuple[str, float | None]] = []

    last = client_of(fake).follow(
        "r1", lambda request: told.append((request.status, request.progress and request.progress.fraction))
    )

    assert told == [("queued", None), ("running", 0.5), ("completed", None)]
    assert last.status == "completed"


def test_follow_sits_out_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "POLL_SECONDS", 0.0)
    fake = FakeLethe(requests={"r1": forget_request("r1", status="completed")})
    outage = iter(["down", "database down", "down"])

    def answer(request: httpx.Request) -> httpx.Response:
        match next(outage, None):
            case "down":
                raise httpx.ConnectError("connection refused")
            case "database down":
                return problem(503, "unavailable", "The database is out.")
        return fake.answer(request)

    last = LetheClient("http://lethe.test", KEY, httpx.MockTransport(answer)).follow("r1")

    assert last.status == "completed"


def test_follow_gives_up_after_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 0.01)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(LetheUnreachable):
        LetheClient("http://lethe.test", KEY, httpx.MockTransport(refuse)).follow("r1")


def test_proof_waits_for_the_entrys_place_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "POLL_SECONDS", 0.0)
    answers = iter([problem(404, "not_sequenced", "Ask again."), httpx.Response(200, content=b"proof")])
    client = LetheClient("http://lethe.test", KEY, httpx.MockTransport(lambda request: next(answers)))

    assert client.proof("r1") == b"proof"


def test_names_are_quoted_in_paths() -> None:
    fake = FakeLethe()

    with pytest.raises(LetheApiError):
        client_of(fake).model("../api-keys")

    assert fake.seen[-1].url.raw_path == b"/v1/models/..%2Fapi-keys"


def test_many_requests_go_in_calls_of_a_thousand_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        items = [
            {"status": 202, "request": forget_request(str(number), model=entry["model"])}
            if entry["model"] == "digits"
            else {"status": 404, "problem": {"title": "Not Found", "code": "not_found", "status": 404}}
            for number, entry in enumerate(bodies[-1]["requests"])
        ]
        return httpx.Response(207, json={"items": items})

    client = LetheClient("http://lethe.test", KEY, httpx.MockTransport(answer))

    found = client.forget_many([Wish("digits" if n != 3 else "?", class_target([n])) for n in range(1001)])

    assert [len(body["requests"]) for body in bodies] == [1000, 1]
    assert len({entry["idempotency_key"] for body in bodies for entry in body["requests"]}) == 1001
    assert isinstance(found[3], LetheApiError) and found[3].code == "not_found"
    assert sum(not isinstance(one, LetheApiError) for one in found) == 1000


def test_a_full_queue_is_waited_out_as_long_as_lethe_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        httpx.Response(429, json={"code": "overloaded"}, headers={"Retry-After": "3"}),
        httpx.Response(202, json=forget_request("r1", model="digits")),
    ]
    slept: list[float] = []
    keys: list[str] = []
    monkeypatch.setattr(api.time, "sleep", slept.append)

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return answers.pop(0)

    request = LetheClient("http://lethe.test", KEY, httpx.MockTransport(answer)).forget(
        "digits", class_target([3])
    )

    assert (request.id, slept) == ("r1", [3.0])
    assert keys[0] == keys[1]
