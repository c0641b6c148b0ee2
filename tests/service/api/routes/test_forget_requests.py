"""Asking for deletion and following it."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from service.core import clock
from service.core.db.session import Sessions, transaction
from service.core.registry.policy import Policy
from service.core.requests.models import ForgetRequest
from tests.fixtures.api import AS_ADMIN, MakeKey
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import NUM_CLASSES, MakeReady, ReadyModel

PATH = "/v1/forget-requests"
CLASS = {"model": "digits", "target": {"kind": "class", "classes": [1]}}


def num_requests(sessions: Sessions) -> int:
    """How many requests there are."""
    with transaction(sessions) as session:
        return session.scalars(select(func.count()).select_from(ForgetRequest)).one()


def test_a_request_is_taken_and_can_be_followed(api: TestClient, digits: ReadyModel):
    answer = api.post(PATH, json={**CLASS, "ground": "art-17-1-a"})

    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert answer.headers["Location"] == taken["links"]["self"] == f"{PATH}/{taken['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    assert (taken["status"], taken["model"], taken["run"], taken["audit"]) == ("queued", "digits", None, None)
    assert taken["target"] == {"kind": "class", "classes": [1], "num_samples": 6}
    assert taken == api.get(answer.headers["Location"]).json()


def test_samples_and_people_are_counted_and_never_named(api: TestClient, digits: ReadyModel):
    ids = digits.sample_ids(0, 3)
    by_samples = api.post(PATH, json={"model": "digits", "target": {"kind": "samples", "sample_ids": ids}})
    by_subject = api.post(
        PATH, json={"model": "digits", "target": {"kind": "subject", "subject_id": "digits-person-1"}}
    )

    assert by_samples.json()["target"] == {"kind": "samples", "classes": [], "num_samples": 2}
    assert by_subject.json()["target"] == {"kind": "subject", "classes": [], "num_samples": 3}
    told = api.get(PATH).text + api.get(by_subject.headers["Location"]).text
    assert not any(named in told for named in (*ids, "digits-person-1"))


def test_a_served_request_shows_its_run_and_its_audit(api: TestClient, kernel: Kernel, digits: ReadyModel):
    location = api.post(PATH, json=CLASS).headers["Location"]
    kernel.serve(digits)

    shown = api.get(location).json()

    assert (shown["status"], shown["progress"]) == ("completed", None)
    assert (shown["run"]["method"], shown["run"]["base_version"], shown["run"]["version"]) == (
        "one_shot",
        1,
        2,
    )
    assert shown["run"]["seconds"] >= 0 and shown["run"]["attempts"] == 1
    assert shown["audit"]["verdict"] == "pass"
    assert shown["audit"]["checks"][0] == {
        "name": "membership", "value": 0.51, "interval": [0.47, 0.55], "threshold": 0.6, "passed": True,
        "is_decided": True, "detail": "loss-based attack",
    }  # fmt: skip


def test_a_running_request_shows_its_progress(api: TestClient, kernel: Kernel, digits: ReadyModel):
    location = api.post(PATH, json=CLASS).headers["Location"]
    kernel.begin(digits)

    shown = api.get(location).json()

    assert (shown["status"], shown["progress"]["stage"]) == ("running", "claimed")


def test_what_is_forgotten_already_is_taken_and_complete(api: TestClient, kernel: Kernel, digits: ReadyModel):
    kernel.ask_classes(digits, 1)
    kernel.serve(digits)

    answer = api.post(PATH, json=CLASS)

    assert (answer.status_code, answer.headers["Location"][: len(PATH)]) == (202, PATH)
    assert (answer.json()["status"], answer.json()["reason"]) == ("completed", "already_forgotten")
    assert answer.json()["run"]["version"] == 2
    assert "certificate" not in answer.json()["links"]


def test_a_person_nobody_knows_is_taken_and_rejected(api: TestClient, digits: ReadyModel):
    answer = api.post(PATH, json={"model": "digits", "target": {"kind": "subject", "subject_id": "nobody"}})

    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["reason"]) == ("rejected", "no_match")


def test_the_legal_clock_starts_when_the_person_asked(api: TestClient, digits: ReadyModel):
    answer = api.post(PATH, json={**CLASS, "submitted_at": "2026-01-31T23:30:00.5+02:00"})

    assert answer.json()["due_at"] == "2026-02-28T21:30:00.500Z"


@pytest.mark.parametrize(
    ("target", "code", "pointer"),
    [
        ({"kind": "class", "classes": [0, NUM_CLASSES]}, "unknown_class", "/target/classes/1"),
        ({"kind": "class", "classes": [10**30]}, "unknown_class", "/target/classes/0"),
        ({"kind": "class", "classes": list(range(NUM_CLASSES))}, "every_class", None),
        (
            {"kind": "samples", "sample_ids": ["digits/train/00000", "x"]},
            "unknown_sample",
            "/target/sample_ids/1",
        ),
        ({"kind": "samples", "sample_ids": ["a\x00b"]}, "unknown_sample", "/target/sample_ids/0"),
    ],
)
def test_a_target_that_does_not_exist_is_named_by_its_place(
    api: TestClient,
    sessions: Sessions,
    digits: ReadyModel,
    target: dict[str, Any],
    code: str,
    pointer: str | None,
):
    answer = api.post(PATH, json={"model": "digits", "target": target})

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert pointer is None or answer.json()["errors"][0]["pointer"] == pointer
    assert num_requests(sessions) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"target": {"kind": "class", "classes": []}},
        {"target": {"kind": "samples", "sample_ids": []}},
        {"target": {"kind": "samples", "sample_ids": [""]}},
        {"target": {"kind": "samples", "sample_ids": ["x" * 513]}},
        {"target": {"kind": "samples", "sample_ids": [7]}},
        {"target": {"kind": "samples", "sample_ids": ["a"], "classes": [1]}},
        {"target": {"kind": "subject", "subject_id": ""}},
        {"target": {"kind": "subject", "subject_id": "x" * 513}},
        {"target": {"kind": "class", "classes": [-1]}},
        {"target": {"kind": "class", "classes": [True]}},
        {"target": {"kind": "class", "classes": [1.0]}},
        {"target": {"kind": "class", "classes": ["1"]}},
        {"target": {"kind": "class"}},
        {"target": {"kind": "everything"}},
        {"target": {}},
        {"target": None},
        {"model": ""},
        {"model": None},
        {"method": ""},
        {"method": "a\x00"},
        {"ground": "because he said so"},
        {"reason": "unknown field"},
        {"callback_url": "https://example.org/hook"},
        {"submitted_at": "2026-01-31"},
        {"submitted_at": "2026-01-31T09:05:00"},
        {"submitted_at": 1760000000},
        {"submitted_at": "2026-13-31T09:05:00Z"},
        {"submitted_at": "0001-01-01T00:00:00+14:00"},
        {"submitted_at": "9999-12-31T23:59:59-14:00"},
        {"submitted_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    ],
)
def test_a_body_that_is_not_a_request_is_refused(lone_api: TestClient, change: dict[str, Any]):
    answer = lone_api.post(PATH, json={**CLASS, **change})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


def test_a_clock_that_runs_a_little_ahead_is_forgiven(api: TestClient, digits: ReadyModel):
    ahead = datetime.now(UTC) + timedelta(minutes=2)

    answer = api.post(PATH, json={**CLASS, "submitted_at": ahead.isoformat()})

    assert answer.status_code == 202
    assert answer.json()["due_at"] <= clock.rfc3339(clock.add_months(ahead, 1))


def test_as_many_samples_as_are_allowed_fit(api: TestClient, digits: ReadyModel):
    target = {"kind": "samples", "sample_ids": [f"{index:05d}" for index in range(100_000)]}

    answer = api.post(PATH, json={"model": "digits", "target": target})

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_sample")
    assert len(answer.json()["errors"]) == 100


def test_one_sample_more_is_refused(lone_api: TestClient):
    target = {"kind": "samples", "sample_ids": ["x"] * 100_001}

    answer = lone_api.post(PATH, json={"model": "digits", "target": target})

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_long")


def test_an_unknown_model_or_method_is_told(api: TestClient, digits: ReadyModel):
    model = api.post(PATH, json={**CLASS, "model": "unknown"})
    method = api.post(PATH, json={**CLASS, "method": "magic"})

    assert (model.status_code, model.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (422, "unknown_method")


def test_a_model_that_is_not_ready_cannot_forget(api: TestClient):
    api.post(
        "/v1/models",
        json={
            "name": "digits",
            "architecture": {"factory": "torchvision.models:resnet18"},
            "dataset": {"source": "digits"},
        },
    )

    answer = api.post(PATH, json=CLASS)

    assert (answer.status_code, answer.json()["code"]) == (409, "model_not_ready")


def test_the_same_key_and_body_give_the_same_request(api: TestClient, sessions: Sessions, digits: ReadyModel):
    answers = [api.post(PATH, json=CLASS, headers={"Idempotency-Key": "k-1"}) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert num_requests(sessions) == 1


def test_the_same_key_with_another_body_is_refused(api: TestClient, sessions: Sessions, digits: ReadyModel):
    api.post(PATH, json=CLASS, headers={"Idempotency-Key": "k-1"})

    answer = api.post(PATH, json={**CLASS, "ground": "other"}, headers={"Idempotency-Key": "k-1"})

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert num_requests(sessions) == 1


def test_two_callers_may_use_the_same_key(
    api: TestClient, sessions: Sessions, make_key: MakeKey, digits: ReadyModel
):
    for caller in (make_key("requests:write"), make_key("requests:write")):
        assert api.post(PATH, json=CLASS, headers={**caller, "Idempotency-Key": "k-1"}).status_code == 202

    assert num_requests(sessions) == 2


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "\xed\xa0\x80", "é", "a\x7fb"])
def test_a_key_that_cannot_be_one_is_refused(lone_api: TestClient, key: str):
    answer = lone_api.post(PATH, json=CLASS, headers={"Idempotency-Key": key.encode("latin-1")})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["name"] == "idempotency-key"


def test_identical_requests_that_race_become_one(live_url: str, sessions: Sessions, digits: ReadyModel):
    num_racers = 8
    barrier, answers = threading.Barrier(num_racers), []

    def race() -> None:
        with httpx.Client(headers={**AS_ADMIN, "Idempotency-Key": "race"}) as client:
            barrier.wait()
            answers.append(client.post(live_url + PATH, json=CLASS, timeout=30))

    racers = [threading.Thread(target=race) for _ in range(num_racers)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert num_requests(sessions) == 1


def test_requests_are_listed_newest_first_page_by_page(api: TestClient, kernel: Kernel, digits: ReadyModel):
    ids = [str(kernel.ask_classes(digits, label).id) for label in (0, 1, 2)]

    first = api.get(PATH, params={"limit": 2, "model": "digits"}).json()
    second = api.get(first["next"]).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None
    assert "model=digits" in first["next"]


def test_a_list_is_narrowed_by_model_status_and_lateness(
    api: TestClient, kernel: Kernel, sessions: Sessions, make_ready: MakeReady
):
    digits, faces = make_ready("digits"), make_ready("faces", "faces")
    late, cancelled = kernel.ask_classes(digits, 1), kernel.ask_classes(digits, 2)
    other = kernel.ask_classes(faces, 1)
    api.delete(f"{PATH}/{cancelled.id}")
    with transaction(sessions) as session:
        for request_id in (late.id, cancelled.id):
            session.execute(
                update(ForgetRequest)
                .where(ForgetRequest.id == request_id)
                .values(due_at=clock.now() - timedelta(days=1))
            )

    def listed(**filters: object) -> set[str]:
        return {item["id"] for item in api.get(PATH, params=filters).json()["items"]}

    assert listed() == {str(late.id), str(cancelled.id), str(other.id)}
    assert listed(model="faces") == {str(other.id)}
    assert listed(model="unknown") == set()
    assert listed(status="cancelled") == {str(cancelled.id)}
    assert listed(overdue=True) == {str(late.id)}
    assert listed(overdue=False) == {str(cancelled.id), str(other.id)}
    assert listed(model="digits", status="queued") == {str(late.id)}


@pytest.mark.parametrize("query", ["status=lost", "overdue=maybe", "model=%00", "cursor=x", "limit=0"])
def test_a_filter_that_cannot_be_is_refused(lone_api: TestClient, query: str):
    assert lone_api.get(f"{PATH}?{query}").status_code == 422


def test_a_waiting_request_can_be_taken_back(api: TestClient, digits: ReadyModel):
    location = api.post(PATH, json=CLASS).headers["Location"]

    answers = [api.delete(location), api.delete(location)]

    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(202, "cancelled")] * 2


def test_a_request_that_runs_can_be_taken_back(api: TestClient, kernel: Kernel, digits: ReadyModel):
    location = api.post(PATH, json=CLASS).headers["Location"]
    kernel.begin(digits)

    answers = [api.delete(location), api.delete(location)]

    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(202, "cancelled")] * 2


def test_a_request_that_was_published_cannot_be_taken_back(
    api: TestClient, kernel: Kernel, digits: ReadyModel
):
    location = api.post(PATH, json=CLASS).headers["Location"]
    kernel.serve(digits)

    answer = api.delete(location)

    assert (answer.status_code, answer.json()["code"]) == (409, "too_late_to_cancel")


def test_an_unknown_request_is_not_found(api: TestClient):
    unknown = f"{PATH}/{uuid.uuid4()}"

    for answer in (api.get(unknown), api.delete(unknown)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert api.get(f"{PATH}/nonsense").status_code == 422


def test_a_held_request_says_why(api: TestClient, make_ready: MakeReady):
    make_ready("digits", policy=Policy(approval_required=True))

    answer = api.post(PATH, json=CLASS)

    assert (answer.json()["status"], answer.json()["reason"]) == ("held", "approval_required")
