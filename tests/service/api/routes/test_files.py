"""Pulling files: whole, in ranges, verified, and gone for good once withdrawn."""

import hashlib
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.api.conditional import repr_digest
from service.core.db.session import Sessions, transaction
from service.core.registry import repository
from service.core.registry import service as registry
from service.core.registry.service import NamedFile
from tests.fixtures.registry import registration

DATA = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(DATA).hexdigest()
PATH = "/v1/models/digits/versions/1/files/model.safetensors"
SIZE = len(DATA)


@pytest.fixture
def publish(app: FastAPI, api: TestClient, sessions: Sessions) -> Callable[[int | None], None]:
    """Publish a version with real files, on a base or as the first."""

    def publish_on(base: int | None) -> None:
        with transaction(sessions) as session:
            model = (
                repository.model_named(session, "digits")
                if base
                else registry.register(session, registration("digits"))
            )
            store = app.state.kernel.store
            files = [
                NamedFile("model.safetensors", store.put(model.space, [DATA]), is_public=True),
                NamedFile("codes.safetensors", store.put(model.space, [b"codes"]), is_public=False),
            ]
            registry.publish(
                session, model, base_number=base, files=files, guarantee=None, run_id=None, facts={}
            )

    publish_on(None)
    return publish_on


@pytest.mark.usefixtures("publish")
class TestPublished:
    """A file of the version that is served."""

    def test_it_comes_whole_with_its_digest(self, api: TestClient):
        answer = api.get(PATH)

        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["ETag"] == f'"{SHA256}"'
        assert answer.headers["Repr-Digest"] == repr_digest(SHA256)
        assert answer.headers["Content-Length"] == str(SIZE)
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert "immutable" in answer.headers["Cache-Control"]

    def test_its_head_comes_without_its_bytes(self, api: TestClient):
        answer = api.head(PATH)

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Length"] == str(SIZE)

    @pytest.mark.parametrize(
        ("asked", "start", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
            ("bytes=700000-", 700000, SIZE),
            (f"bytes=5-{SIZE * 2}", 5, SIZE),
            ("bytes=-10", SIZE - 10, SIZE),
            (f"bytes=-{SIZE * 2}", 0, SIZE),
        ],
    )
    def test_a_range_comes_alone(self, api: TestClient, asked: str, start: int, stop: int):
        answer = api.get(PATH, headers={"Range": asked})

        assert (answer.status_code, answer.content) == (206, DATA[start:stop])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["Content-Length"] == str(stop - start)
        assert answer.headers["Repr-Digest"] == repr_digest(SHA256)

    @pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
    def test_a_range_past_the_end_cannot_be_satisfied(self, api: TestClient, asked: str):
        answer = api.get(PATH, headers={"Range": asked})

        assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == f"bytes */{SIZE}"

    @pytest.mark.parametrize(
        "asked", ["bytes=0-1,5-6", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=a-b", "bytes"]
    )
    def test_what_is_no_single_range_gets_the_whole(self, api: TestClient, asked: str):
        answer = api.get(PATH, headers={"Range": asked})

        assert (answer.status_code, answer.content) == (200, DATA)

    def test_a_range_of_another_file_gets_the_whole(self, api: TestClient):
        fits = api.get(PATH, headers={"Range": "bytes=0-9", "If-Range": f'"{SHA256}"'})
        differs = api.get(PATH, headers={"Range": "bytes=0-9", "If-Range": '"other"'})

        assert (fits.status_code, fits.content) == (206, DATA[:10])
        assert (differs.status_code, differs.content) == (200, DATA)

    @pytest.mark.parametrize("sent", [f'"{SHA256}"', f'W/"{SHA256}"', f'"x", "{SHA256}"', "*"])
    def test_who_has_it_already_is_told_so(self, api: TestClient, sent: str):
        answer = api.get(PATH, headers={"If-None-Match": sent, "Range": "bytes=0-1"})

        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == f'"{SHA256}"'

    @pytest.mark.parametrize("name", ["codes.safetensors", "nothing", "..%2Fmodel.safetensors", "%00"])
    def test_no_other_file_is_served(self, api: TestClient, name: str):
        assert api.get(PATH.replace("model.safetensors", name)).status_code == 404

    def test_an_unknown_version_is_not_found(self, api: TestClient):
        assert api.get(PATH.replace("/1/", "/2/")).status_code == 404


def test_a_withdrawn_version_is_gone_and_names_its_successor(
    api: TestClient, publish: Callable[[int | None], None]
):
    publish(1)

    for headers in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-9"}):
        answer = api.get(PATH, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (410, "version_withdrawn")
        assert (answer.json()["successor"], answer.json()["revocation_floor"]) == (2, 2)
    assert api.get(PATH.replace("/1/", "/2/")).content == DATA
