"""The log as static files: a stranger rebuilds the tree from them and arrives at the signed root."""

import pytest
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.ledger import checkpoint, merkle, tiles
from service.core.ledger import repository as ledger
from service.core.ledger.signing import Signer, Verifier

STRANGER = {"Authorization": ""}
NOWHERE = (
    "0/001", "0/002.p/1", "0/001.p/45", "1/000", "64/000", "x/000", "0/1", "0/x001/000", "0/000.p/0",
    "0/000.p/256", "entries/001", "", "0/000/", "0/%00", "-1/000", "00/000",
)  # fmt: skip
NUM_ENTRIES = tiles.TILE_WIDTH + 44


@pytest.fixture
def log(sessions: Sessions, signer: Signer) -> None:
    """A log of one full tile and a partial one."""
    with transaction(sessions) as session:
        for number in range(NUM_ENTRIES):
            ledger.append(session, "test.entry", {"number": number})
    with transaction(sessions) as session:
        assert ledger.sequence(session, signer) == NUM_ENTRIES


@pytest.mark.usefixtures("log")
def test_a_stranger_arrives_at_the_signed_root(api: TestClient):
    def fetch(path: str) -> bytes:
        answer = api.get(f"/v1/log/{path}", headers=STRANGER)
        assert answer.status_code == 200, path
        return answer.content

    head = checkpoint.verify(fetch("checkpoint"), Verifier.parse(fetch("vkey").decode().strip()))
    entries = [
        entry
        for address in tiles.addresses(None, head.size)
        for entry in tiles.parse_bundle(fetch(address.path))
    ]
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    hashes = [
        one
        for address in tiles.addresses(0, head.size)
        for one in tiles.parse_hashes(fetch(address.path), address.width)
    ]

    assert head.size == len(entries) == NUM_ENTRIES
    assert hashes == leaves
    assert merkle.tree_hash(leaves) == head.root
    assert fetch("tile/1/000.p/1") == merkle.tree_hash(leaves[: tiles.TILE_WIDTH])


@pytest.mark.usefixtures("log")
def test_full_tiles_are_kept_for_ever_and_growing_ones_are_not(api: TestClient):
    caching = {
        path: api.get(f"/v1/log/{path}").headers["Cache-Control"]
        for path in ("tile/0/000", "tile/entries/000", "tile/0/001.p/44", "checkpoint")
    }

    assert "immutable" in caching["tile/0/000"] and "immutable" in caching["tile/entries/000"]
    assert caching["tile/0/001.p/44"] == caching["checkpoint"] == "no-cache"


@pytest.mark.usefixtures("log")
def test_a_tile_that_is_not_there_is_not_found(api: TestClient):
    for path in NOWHERE:
        answer = api.get(f"/v1/log/tile/{path}", headers=STRANGER)

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_an_empty_log_has_no_head_yet(api: TestClient):
    answer = api.get("/v1/log/checkpoint", headers=STRANGER)

    assert (answer.status_code, answer.json()["code"]) == (404, "log_empty")
    assert int(answer.headers["Retry-After"]) > 0
