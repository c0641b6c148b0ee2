"""Files of the first format version: each must read as it did, and be written so byte for byte.

LETHE_UPDATE_GOLDEN=1 writes them anew; a change to one of them is a new format version, not an update.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.ledger import (
    certificate,
    checkpoint,
    claims,
    entries,
    merkle,
    proof,
    pseudonyms,
    signing,
    tiles,
)

GOLDEN = Path(__file__).parents[3] / "fixtures" / "golden" / "ledger" / "formats_v1"
SIGNER = signing.Signer("lethe.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AT = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
BODIES = ({"model": "digits"}, {"status": "running", "positions": [1, 2, 3]}, {"auc": 0.512, "word": "é"})
ENTRIES = tuple(entries.entry_bytes("request.received", AT, body) for body in BODIES)
NODE = merkle.nodes_of(map(merkle.leaf_hash, ENTRIES))
HEAD = checkpoint.Checkpoint(SIGNER.name, 3, merkle.root_of(3, NODE))
PROOF = proof.prove(1, checkpoint.sign(HEAD, SIGNER), NODE)
NAMED = pseudonyms.Pseudonymiser(bytes(range(32)))
CLAIM = claims.Claim(
    request=NAMED.request("0b54"),
    model="digits",
    base_version=1,
    version=2,
    target=claims.Target("class", 108),
    method=claims.Method(
        "retrain", "1.0.0", {"epochs": 20, "learning_rate": 0.05}, 7, claims.Guarantee.EXACT, ("Slow.",)
    ),
    audit=claims.Audit(
        "suite-1", "pass", (claims.Check("membership_auc", 0.512, 0.47, 0.55, 0.6, True, "540 samples"),)
    ),
    received_at=AT,
    completed_at=AT,
    files=(claims.File("model.safetensors", "cd" * 32),),
)
PSEUDONYMS = {
    "sample": NAMED.sample("digits", "train/00017"),
    "subject": NAMED.subject("digits", "person é"),
    "request": NAMED.request("0b54"),
}
WRITTEN = {
    "entry.json": ENTRIES[2],
    "bundle": tiles.bundle(ENTRIES),
    "tile": tiles.hash_tile(tiles.Address(0, 0, 3), NODE),
    "checkpoint": checkpoint.sign(HEAD, SIGNER),
    "log.vkey": SIGNER.verifier.vkey.encode(),
    "entry.tlog-proof": PROOF.to_bytes(),
    "certificate.dsse.json": certificate.sign(CLAIM, SIGNER),
    "pseudonyms.json": json.dumps(PSEUDONYMS, indent=2).encode(),
}


def golden(name):
    path = GOLDEN / name
    if os.environ.get("LETHE_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(WRITTEN[name])
    return path.read_bytes()


@pytest.mark.parametrize("name", WRITTEN.keys())
def test_format_is_still_written_byte_for_byte(name):
    assert golden(name) == WRITTEN[name]


def test_entries_of_the_first_format_are_still_read():
    assert entries.parse(golden("entry.json")) == entries.Entry("request.received", AT, BODIES[2])
    assert tiles.parse_bundle(golden("bundle")) == ENTRIES


def test_leaf_tile_of_the_first_format_still_belongs_to_its_entries():
    leaves = tiles.parse_hashes(golden("tile"), 3)

    assert leaves == tuple(merkle.leaf_hash(entry) for entry in tiles.parse_bundle(golden("bundle")))


def test_checkpoint_of_the_first_format_still_verifies():
    verifier = signing.Verifier.parse(golden("log.vkey").decode())

    assert checkpoint.verify(golden("checkpoint"), verifier) == HEAD


def test_proof_of_the_first_format_still_verifies():
    verifier = signing.Verifier.parse(golden("log.vkey").decode())

    assert proof.verify(proof.parse(golden("entry.tlog-proof")), ENTRIES[1], verifier) == HEAD


def test_certificate_of_the_first_format_still_verifies():
    verifier = signing.Verifier.parse(golden("log.vkey").decode())

    assert certificate.verify(golden("certificate.dsse.json"), verifier) == CLAIM
