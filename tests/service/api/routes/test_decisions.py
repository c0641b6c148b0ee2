"""Decisions of people, each in somebody's name."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from service.core.registry.policy import Policy
from tests.fixtures.api import MakeKey
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel

PATH = "/v1/forget-requests"


@pytest.fixture
def officer(make_key: MakeKey) -> dict[str, str]:
    """The key of a person who decides."""
    return make_key("requests:write", name="A. Officer")


@pytest.fixture
def held(api: TestClient, make_ready: MakeReady) -> str:
    """Where a request is that waits for a decision."""
    make_ready("digits", policy=Policy(approval_required=True))
    answer = api.post(PATH, json={"model": "digits", "target": {"kind": "class", "classes": [1]}})
    return str(answer.headers["Location"])


def decide(api: TestClient, held: str, who: dict[str, str], decision: str, reason: str = "checked") -> Any:
    """Send a decision."""
    return api.post(f"{held}/decision", json={"decision": decision, "reason": reason}, headers=who)


def test_an_approved_request_is_queued(api: TestClient, held: str, officer: dict[str, str]):
    answer = decide(api, held, officer, "approve")

    assert (answer.status_code, answer.json()["status"]) == (200, "queued")


def test_a_denied_request_is_rejected_with_the_reason(api: TestClient, held: str, officer: dict[str, str]):
    answer = decide(api, held, officer, "deny", "identity_unproven")

    assert (answer.json()["status"], answer.json()["reason"]) == ("rejected", "identity_unproven")


def test_a_request_is_extended_once(api: TestClient, held: str, officer: dict[str, str]):
    before = api.get(held).json()["due_at"]

    first, second = (decide(api, held, officer, "extend", "complexity") for _ in range(2))

    assert first.json()["due_at"] > before
    assert (second.status_code, second.json()["code"]) == (409, "not_extendable")


def test_what_was_never_audited_cannot_be_accepted(api: TestClient, held: str, officer: dict[str, str]):
    answer = decide(api, held, officer, "accept")

    assert (answer.status_code, answer.json()["code"]) == (409, "no_decision_awaited")
    assert api.get(held).json()["status"] == "held"


def test_what_needs_review_says_all_that_a_person_needs(
    api: TestClient, kernel: Kernel, digits: ReadyModel, officer: dict[str, str]
):
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)

    shown = api.get(f"{PATH}/{request.id}").json()

    review = shown["review"]
    assert review["candidate"] == {
        "rung": 1,
        "verdict": "fail",
        "guarantee": "approximate",
        "base_version": 1,
    }
    assert (review["exact_seconds"], review["due_at"]) == (12.5, shown["due_at"])
    assert [one["decision"] for one in review["choices"] if one["is_possible"]] == [
        "accept",
        "approve",
        "deny",
        "extend",
    ]
    (rung,) = shown["rungs"]
    assert (rung["methods"], rung["seconds"], rung["verdict"]) == (["one_shot"], 0.5, "fail")
    assert [(check["name"], check["value"], check["threshold"]) for check in rung["failed"]] == [
        ("membership", 0.51, 0.6)
    ]
    assert rung["undecided"] == []


def test_an_accepted_request_says_who_accepted_it(
    api: TestClient, kernel: Kernel, digits: ReadyModel, officer: dict[str, str]
):
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    path = f"{PATH}/{request.id}"

    first, again = (decide(api, path, officer, "accept", "risk_assessed") for _ in range(2))
    kernel.publish_accepted(digits)
    shown = api.get(path).json()

    (key,) = api.get("/v1/api-keys").json()["items"]
    assert (first.status_code, first.json()["status"]) == (200, "accepted")
    assert again.json() == first.json()
    assert (shown["status"], shown["review"], shown["run"]["guarantee"]) == ("completed", None, "approximate")
    assert (shown["acceptance"]["by"], shown["acceptance"]["reason"]) == (key["id"], "risk_assessed")
    page = api.get(f"{path}/certificate", headers={"Accept": "text/html"}).text
    assert "Accepted by a person" in page and "although the audit said fail" in page


def test_a_stale_candidate_is_refused_with_its_reason(
    api: TestClient, kernel: Kernel, digits: ReadyModel, officer: dict[str, str]
):
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    kernel.ask_samples(digits, 1)
    kernel.serve(digits)

    answer = decide(api, f"{PATH}/{request.id}", officer, "accept")

    assert (answer.status_code, answer.json()["code"]) == (409, "candidate_stale")
    shown = api.get(f"{PATH}/{request.id}").json()["review"]
    assert shown["candidate"] is None and not shown["choices"][0]["is_possible"]


def test_an_interim_version_is_shown_while_the_request_waits(
    api: TestClient, kernel: Kernel, digits: ReadyModel
):
    request = kernel.ask_classes(digits, 3)
    kernel.serve_interim(digits)

    shown = api.get(f"{PATH}/{request.id}").json()

    assert (shown["status"], shown["reason"]) == ("queued", "interim_published")
    assert (shown["interim"]["version"], shown["interim"]["guarantee"]) == (2, "approximate")
    assert "certificate" not in shown["links"]


def test_a_decided_request_awaits_no_decision(
    api: TestClient, kernel: Kernel, held: str, officer: dict[str, str]
):
    decide(api, held, officer, "deny")

    answer = decide(api, held, officer, "approve")

    assert answer.status_code == 409


def test_the_admin_key_is_nobodys_name(api: TestClient, held: str):
    answer = decide(api, held, {}, "approve")

    assert (answer.status_code, answer.json()["code"]) == (403, "named_principal_required")
    assert api.get(held).json()["status"] == "held"


def test_the_ledger_tells_who_decided(api: TestClient, held: str, officer: dict[str, str], make_key: MakeKey):
    decide(api, held, officer, "approve", "verified")

    (decided,) = [one for one in api.get(f"{held}/timeline").json()["items"] if "decision" in one["body"]]

    (key,) = api.get("/v1/api-keys").json()["items"]
    assert decided["body"]["by"] == key["id"]
    assert decided["body"]["decision_reason"] == "verified"


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "approve"}, {"decision": "maybe", "reason": "x"}, {"decision": "deny", "reason": ""},
     {"decision": "deny", "reason": "Mr Smith called twice"},
     {"decision": "deny", "reason": "x", "note": "y"}],
)  # fmt: skip
def test_what_is_no_decision_is_refused(lone_api: TestClient, body: dict[str, str]):
    answer = lone_api.post(f"{PATH}/01a1fbbe-82dd-758b-9023-f5aac74d5998/decision", json=body)

    assert answer.status_code == 422
