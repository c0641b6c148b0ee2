"""Looking at versions, whatever became of them."""

from starlette.testclient import TestClient

from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel


def test_versions_are_listed_newest_first(api: TestClient, kernel: Kernel, digits: ReadyModel):
    kernel.ask_classes(digits, 1)
    kernel.serve(digits)

    second, first = api.get("/v1/models/digits/versions").json()["items"]

    assert (second["version"], second["state"], second["base_version"]) == (2, "published", 1)
    assert (first["version"], first["state"], first["files"]) == (1, "withdrawn", [])
    assert first["withdrawn_at"] is not None
    assert second == api.get("/v1/models/digits/versions/2").json()


def test_only_public_files_are_shown(api: TestClient, digits: ReadyModel):
    (file,) = api.get("/v1/models/digits/versions/1").json()["files"]

    assert file["name"] == "model.safetensors"
    assert file["url"] == "/v1/models/digits/versions/1/files/model.safetensors"


def test_a_version_that_never_was_is_not_found(api: TestClient, digits: ReadyModel):
    assert api.get("/v1/models/digits/versions/2").status_code == 404
    assert api.get("/v1/models/digits/versions/2147483647").status_code == 404


def test_a_number_that_no_version_can_have_is_refused(api: TestClient, digits: ReadyModel):
    for number in ("0", "-1", "2147483648", "9" * 30, "one"):
        assert api.get(f"/v1/models/digits/versions/{number}").status_code == 422, number
