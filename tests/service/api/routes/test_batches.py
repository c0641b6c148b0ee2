"""Many requests in one call: each is answered as it would be alone."""

import httpx
from sqlalchemy import func, select
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.requests import intake
from service.core.requests.models import ForgetRequest
from tests.fixtures.registry import ReadyModel

PATH = "/v1/forget-requests"
BATCH = f"{PATH}/batch"
CLASS = {"model": "digits", "target": {"kind": "class", "classes": [1]}}
SECRET = "alice@example.org"


def num_requests(sessions: Sessions) -> int:
    """How many requests there are."""
    with transaction(sessions) as session:
        return session.scalars(select(func.count()).select_from(ForgetRequest)).one()


def test_bad_requests_do_not_spoil_the_others(api: TestClient, sessions: Sessions, digits: ReadyModel):
    entries = [
        CLASS,
        {"model": "digits", "target": {"kind": SECRET}},
        {"model": "digits", "target": {"kind": "samples", "sample_ids": [digits.sample_ids(0)[0], SECRET]}},
        SECRET,
        {**CLASS, "model": "unknown"},
        {"model": "digits", "target": {"kind": "subject", "subject_id": "digits-person-1"}},
    ]

    answer = api.post(BATCH, json={"requests": entries})

    items = answer.json()["items"]
    assert (answer.status_code, [item["status"] for item in items]) == (207, [202, 422, 422, 422, 404, 202])
    assert [item["problem"]["code"] for item in items if "problem" in item] == [
        "invalid", "unknown_sample", "invalid", "not_found",
    ]  # fmt: skip
    assert [fault["pointer"] for item in items[1:3] for fault in item["problem"]["errors"]] == [
        "/target", "/target/sample_ids/1",
    ]  # fmt: skip
    assert SECRET not in answer.text
    assert items[0]["request"] == api.get(items[0]["request"]["links"]["self"]).json()
    assert num_requests(sessions) == 2


def test_a_key_in_a_batch_is_the_key_of_a_single_call(
    api: TestClient, sessions: Sessions, digits: ReadyModel
):
    entry = {**CLASS, "idempotency_key": "k-1"}

    first, twin, other = api.post(
        BATCH, json={"requests": [entry, entry, {**entry, "ground": "other"}]}
    ).json()["items"]
    again = api.post(BATCH, json={"requests": [entry]}).json()["items"][0]
    compact = httpx.Request("POST", "http://x", json=CLASS).content
    alone = api.post(
        PATH, content=compact, headers={"Idempotency-Key": "k-1", "Content-Type": "application/json"}
    )

    assert first == twin == again
    assert alone.json() == first["request"]
    assert (other["status"], other["problem"]["code"]) == (422, "idempotency_key_reused")
    assert num_requests(sessions) == 1


def test_one_that_nobody_expected_to_fail_fails_alone(
    api: TestClient, sessions: Sessions, digits: ReadyModel, monkeypatch
):
    received = intake._received

    def break_down(request, model):
        if request.classes == [2]:
            raise RuntimeError(SECRET)
        return received(request, model)

    monkeypatch.setattr(intake, "_received", break_down)
    broken = {"model": "digits", "target": {"kind": "class", "classes": [2]}}

    answer = api.post(BATCH, json={"requests": [CLASS, broken, CLASS]})

    assert [item["status"] for item in answer.json()["items"]] == [202, 500, 202]
    assert SECRET not in answer.text
    assert num_requests(sessions) == 2


def test_a_batch_that_is_empty_or_too_long_is_refused(lone_api: TestClient):
    for entries in ([], [CLASS] * 1001):
        answer = lone_api.post(BATCH, json={"requests": entries})

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_a_call_is_tied_to_its_requests(api: TestClient, sessions: Sessions, digits: ReadyModel):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for header in (trace, "00-no-trace"):
        api.post(PATH, json=CLASS, headers={"X-Request-ID": "call-7", "traceparent": header})

    with transaction(sessions) as session:
        rows = session.execute(
            select(ForgetRequest.correlation_id, ForgetRequest.trace_parent).order_by(ForgetRequest.id)
        )
        assert [tuple(row) for row in rows] == [("call-7", trace), ("call-7", None)]
