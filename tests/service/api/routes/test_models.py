"""Registering models and looking at them."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.registry import repository
from service.core.registry.policy import Policy
from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import AS_ADMIN
from tests.fixtures.registry import MakeReady, ReadyModel
from workers.preparation.recipe import TrainingRecipe

NET = "torchvision.models:resnet18"
BODY = {
    "name": "mine",
    "architecture": {"factory": "workers.numerics.architectures:small_cnn", "arguments": {"width": 8}},
    "dataset": {"source": "digits"},
}


def test_a_registered_model_awaits_its_weights(api: TestClient):
    answer = api.post("/v1/models", json=BODY)

    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == "/v1/models/mine"
    shown = answer.json()
    assert shown == api.get("/v1/models/mine").json()
    assert (shown["state"], shown["served_version"], shown["revocation_floor"]) == ("registered", None, 0)
    assert shown["training"] == TrainingRecipe().to_json()
    assert shown["policy"] == Policy().model_dump(mode="json")
    assert shown["dataset"] == {"source": "digits", "name": "digits"}


def test_a_model_promises_nothing_until_it_was_studied(
    api: TestClient, sessions: Sessions, digits: ReadyModel
):
    promise = {
        "kind": "class",
        "method": "ssd",
        "guarantee": "approximate",
        "seconds": 0.2,
        "rehearsed": 10,
        "passed": 9,
        "suite": "lethe-audit-3",
        "text": "class requests: ssd, 0.2 s, approximate, passed 9 of 10 rehearsals (lethe-audit-3)",
    }
    before = api.get("/v1/models/digits").json()["promise"]
    with transaction(sessions) as session:
        version = repository.version_numbered(session, digits.id, 1)
        version.facts = {**version.facts, "study": {"promise": [promise]}}

    after = api.get("/v1/models/digits").json()["promise"]

    assert (before, after) == ([], [promise])
    assert [model["promise"] for model in api.get("/v1/models").json()["items"]] == [[promise]]


def test_torchvision_is_kept_in_one_spelling(api: TestClient):
    body = {**BODY, "architecture": {"factory": "torchvision.models.resnet18"}}

    assert (
        api.post("/v1/models", json=body).json()["architecture"]["factory"] == "torchvision.models:resnet18"
    )


def test_a_name_is_taken_once(api: TestClient):
    assert api.post("/v1/models", json=BODY).status_code == 201

    again = api.post("/v1/models", json=BODY)
    other_data = api.post(
        "/v1/models",
        json={**BODY, "name": "other", "dataset": {"source": "arrays", "path": "/d", "name": "digits"}},
    )

    assert (again.status_code, again.json()["code"]) == (409, "model_name_taken")
    assert (other_data.status_code, other_data.json()["code"]) == (409, "dataset_name_taken")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"architecture": {"factory": "os:system"}}, "factory_not_allowed"),
        ({"architecture": {"factory": NET, "arguments": {"weights": "DEFAULT"}}}, "pretrained_not_allowed"),
        ({"name": "-m"}, "invalid"),
        ({"name": "a" * 101}, "invalid"),
        ({"name": "m\n"}, "invalid"),
        ({"name": "a/b"}, "invalid"),
        ({"dataset": {"source": "sql"}}, "invalid"),
        ({"training": {"epochs": 0}}, "invalid"),
        ({"policy": {"class_ladder": []}}, "invalid"),
        ({"policy": {"audit_limits": {"utility": float("inf")}}}, "invalid"),
        ({"policy": {"class_ladder": ["a\x00b"]}}, "invalid"),
        ({"architecture": {"factory": NET, "arguments": {"x": "\x00"}}}, "invalid"),
        ({"architecture": {"factory": NET, "arguments": {"x": float("nan")}}}, "invalid"),
        ({"architecture": {"factory": NET, "arguments": {"\ud800": [1]}}}, "invalid"),
        ({"weights": "somewhere"}, "invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_registered_is_refused(lone_api: TestClient, change: dict[str, Any], code: str):
    answer = send_json(lone_api, {**BODY, **change})

    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


def test_a_path_outside_the_roots_is_refused(service_settings: ServiceSettings, tmp_path: Path):
    app = create_app(service_settings.model_copy(update={"data_roots": (tmp_path / "data",)}))
    with TestClient(app, headers=AS_ADMIN) as client:
        answer = client.post("/v1/models", json={**BODY, "dataset": {"source": "arrays", "path": "/etc"}})

    assert (answer.status_code, answer.json()["code"]) == (422, "path_not_allowed")


def test_models_are_listed_page_by_page(api: TestClient, make_ready: MakeReady):
    for name in ("a", "b", "c"):
        make_ready(name)

    first = api.get("/v1/models", params={"limit": 2}).json()
    second = api.get(first["next"]).json()

    assert [model["name"] for model in first["items"]] == ["a", "b"]
    assert [model["name"] for model in second["items"]] == ["c"]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=nonsense"])
def test_a_page_that_cannot_be_is_refused(lone_api: TestClient, query: str):
    assert lone_api.get(f"/v1/models?{query}").status_code == 422


@pytest.mark.parametrize("name", ["unknown", "%00", "-", "a%2Fb", "%ED%A0%80", "%FF"])
def test_an_unknown_model_is_not_found(api: TestClient, digits: ReadyModel, name: str):
    for path in (f"/v1/models/{name}", f"/v1/models/{name}/versions", f"/v1/models/{name}/versions/latest"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def send_json(client: TestClient, body: dict[str, Any]) -> Any:
    """Send what a strict encoder would not: NaN, infinity, lone surrogates."""
    return client.post("/v1/models", content=json.dumps(body), headers={"Content-Type": "application/json"})
