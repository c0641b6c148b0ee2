"""Uploading weights: streamed, checked, and nothing left of what failed."""

import hashlib
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from service.api.conditional import repr_digest
from service.core.db.session import Sessions, transaction
from service.core.queue.models import Job, JobKind
from service.core.registry import repository
from service.core.registry import service as registry
from service.settings import ServiceSettings
from tests.fixtures.api import ADMIN_KEY, AS_ADMIN
from tests.fixtures.registry import ReadyModel, registration

WEIGHTS = bytes(range(256)) * 1000
PATIENCE_SECONDS = 10.0


@pytest.fixture
def model_id(sessions: Sessions) -> uuid.UUID:
    """A model that awaits its weights."""
    with transaction(sessions) as session:
        return registry.register(session, registration("digits")).id


def pieces(data: bytes = WEIGHTS, size: int = 1000) -> Iterator[bytes]:
    """A body in pieces, its length unannounced."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def stored_files(settings: ServiceSettings) -> list[Path]:
    """Everything that lies in the store, unfinished files included."""
    return [file for file in settings.store_dir.rglob("*") if file.is_file()]


def test_weights_are_stored_under_their_digest_and_prepared(
    api: TestClient, app: FastAPI, sessions: Sessions, model_id: uuid.UUID
):
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()

    answer = api.put(
        "/v1/models/digits/weights", content=pieces(), headers={"Repr-Digest": repr_digest(sha256)}
    )

    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "preparing"
    with transaction(sessions) as session:
        model = repository.model_named(session, "digits")
        job = session.scalars(select(Job).where(Job.model_id == model_id)).one()
        assert (model.upload_sha256, model.upload_size) == (sha256, len(WEIGHTS))
        assert job.kind == JobKind.PREPARE
        assert app.state.kernel.store.read(model.space, sha256) == WEIGHTS


def test_the_same_upload_twice_is_prepared_once(api: TestClient, sessions: Sessions, model_id: uuid.UUID):
    for _ in range(2):
        assert api.put("/v1/models/digits/weights", content=WEIGHTS).status_code == 202

    with transaction(sessions) as session:
        assert len(session.scalars(select(Job)).all()) == 1


def test_bytes_with_another_digest_are_refused_and_not_kept(
    api: TestClient, service_settings: ServiceSettings, model_id: uuid.UUID
):
    announced = repr_digest(hashlib.sha256(b"other").hexdigest())

    answer = api.put("/v1/models/digits/weights", content=pieces(), headers={"Repr-Digest": announced})

    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert stored_files(service_settings) == []
    assert api.get("/v1/models/digits").json()["state"] == "registered"


def test_a_failed_upload_takes_nothing_from_an_earlier_one(
    api: TestClient, service_settings: ServiceSettings, model_id: uuid.UUID
):
    assert api.put("/v1/models/digits/weights", content=WEIGHTS).status_code == 202
    announced = repr_digest(hashlib.sha256(b"other").hexdigest())

    api.put("/v1/models/digits/weights", content=WEIGHTS, headers={"Repr-Digest": announced})

    assert [file.name for file in stored_files(service_settings)] == [hashlib.sha256(WEIGHTS).hexdigest()]


def test_an_upload_that_grows_too_long_is_refused_and_not_kept(
    api: TestClient, app: FastAPI, service_settings: ServiceSettings, model_id: uuid.UUID
):
    service_settings.max_weights_bytes = len(WEIGHTS) - 1

    answer = api.put("/v1/models/digits/weights", content=pieces())

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert stored_files(service_settings) == []


def test_a_model_that_has_versions_takes_no_weights(api: TestClient, digits: ReadyModel):
    answer = api.put("/v1/models/digits/weights", content=WEIGHTS)

    assert (answer.status_code, answer.json()["code"]) == (409, "model_has_versions")


def test_an_unknown_model_takes_no_weights(api: TestClient, service_settings: ServiceSettings):
    assert api.put("/v1/models/nothing/weights", content=WEIGHTS).status_code == 404
    assert stored_files(service_settings) == []


def test_a_full_disk_is_told_and_nothing_is_kept(
    api: TestClient, service_settings: ServiceSettings, model_id: uuid.UUID
):
    service_settings.store_dir.write_text("a file where the folder should be")

    answer = api.put("/v1/models/digits/weights", content=WEIGHTS)

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert api.get("/v1/models/digits").json()["state"] == "registered"


def test_a_cut_upload_leaves_nothing(live_url: str, service_settings: ServiceSettings, model_id: uuid.UUID):
    place = urlsplit(live_url)
    with socket.create_connection((place.hostname, place.port)) as wire:
        wire.sendall(
            b"PUT /v1/models/digits/weights HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
            b"Authorization: Bearer " + ADMIN_KEY.encode() + b"\r\n\r\n" + WEIGHTS[:100_000]
        )
        wait_until(lambda: bool(stored_files(service_settings)), "the upload has begun")

    wait_until(lambda: not stored_files(service_settings), "the upload is cleared away")
    assert httpx.get(f"{live_url}/v1/models/digits", headers=AS_ADMIN).json()["state"] == "registered"


def wait_until(condition: Callable[[], bool], hope: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, hope
        time.sleep(0.01)
