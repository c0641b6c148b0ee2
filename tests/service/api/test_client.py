"""The project's own client and this API mean the same by the contract."""

import hashlib
from pathlib import Path

import pytest
from fastapi import FastAPI

from lethe.client import LetheApiError, LetheClient, class_target
from service.core.db.session import Sessions, transaction
from service.core.ledger import repository as ledger
from service.core.ledger.signing import Signer
from service.core.registry import repository
from service.core.registry import service as registry
from service.core.registry.service import NamedFile
from tests.fixtures.api import ADMIN_KEY
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel

WEIGHTS = bytes(range(256)) * 100
REGISTRATION = {
    "name": "mine",
    "architecture": {"factory": "workers.numerics.architectures:small_cnn"},
    "dataset": {"source": "digits", "name": "mine"},
}


def test_a_model_is_registered_uploaded_and_pulled(
    live_url: str, app: FastAPI, sessions: Sessions, tmp_path: Path
):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(WEIGHTS)
    with LetheClient(live_url, ADMIN_KEY) as client:
        assert client.register_model(REGISTRATION).state == "registered"
        assert client.upload_weights("mine", weights).state == "preparing"
        with transaction(sessions) as session:
            model = repository.model_named(session, "mine")
            stored = app.state.kernel.store.put(model.space, [WEIGHTS])
            files = [NamedFile("weights.safetensors", stored, is_public=True)]
            registry.publish(
                session, model, base_number=None, files=files, guarantee=None, run_id=None, facts={}
            )

        pointer = client.latest("mine")
        assert pointer is not None and pointer.version.version == 1
        assert client.latest("mine", etag=pointer.etag) is None
        assert [model.name for model in client.models()] == ["mine"]
        assert [version.version for version in client.versions("mine")] == [1]
        with client.file("mine", 1, "weights.safetensors", start=1000) as response:
            rest = b"".join(response.iter_bytes())

    assert response.status_code == 206
    assert hashlib.sha256(WEIGHTS[:1000] + rest).hexdigest() == pointer.version.files[0].sha256


def test_a_request_is_sent_followed_and_proven(
    live_url: str, kernel: Kernel, digits: ReadyModel, sessions: Sessions, signer: Signer
):
    with LetheClient(live_url, ADMIN_KEY) as client:
        asked = client.forget("digits", class_target([1]), idempotency_key="k")
        assert client.forget("digits", class_target([1]), idempotency_key="k").id == asked.id
        kernel.serve(digits)
        with transaction(sessions) as session:
            ledger.sequence(session, signer)

        done = client.follow(asked.id)
        assert (done.status, [one.id for one in client.requests(status="completed")]) == (
            "completed",
            [asked.id],
        )
        assert client.certificate(asked.id) and client.proof(asked.id).startswith(b"c2sp.org/tlog-proof@v1\n")
        assert client.log_vkey() == signer.verifier.vkey
        assert client.log_checkpoint() and client.log_tile("tile/entries/000.p/1")

        again = client.forget("digits", class_target([2]))
        assert client.cancel(again.id).status == "cancelled"


def test_a_refusal_reaches_the_caller_with_its_code(live_url: str, digits: ReadyModel):
    with LetheClient(live_url, ADMIN_KEY) as client, pytest.raises(LetheApiError) as refusal:
        client.forget("digits", class_target([99]))

    assert (refusal.value.status, refusal.value.code) == (422, "unknown_class")
    assert refusal.value.errors[0]["pointer"] == "/target/classes/0"


def test_keys_are_made_and_revoked(live_url: str):
    with LetheClient(live_url, ADMIN_KEY) as client:
        made = client.create_api_key("desk", ["requests:read"])
        assert made.key
        client.revoke_api_key(made.id)
        assert [key.revoked_at is not None for key in client.api_keys()] == [True]
        assert list(client.methods()) == []
