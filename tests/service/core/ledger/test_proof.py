"""Offline proofs: what they show, and what they refuse to show."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service.core.ledger import checkpoint, errors, merkle, proof, signing

SIGNER = signing.Signer("lethe.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ENTRIES = [b"entry %d" % i for i in range(11)]
NODE = merkle.nodes_of(map(merkle.leaf_hash, ENTRIES))
HEAD = checkpoint.Checkpoint(SIGNER.name, len(ENTRIES), merkle.root_of(len(ENTRIES), NODE))
SIGNED = checkpoint.sign(HEAD, SIGNER)


@pytest.mark.parametrize("index", range(len(ENTRIES)))
def test_proof_of_every_entry_holds_after_a_round_trip(index):
    made = proof.prove(index, SIGNED, NODE)

    found = proof.parse(made.to_bytes())

    assert found == made
    assert proof.verify(found, ENTRIES[index], SIGNER.verifier) == HEAD


def test_proof_reads_as_specified():
    lines = proof.prove(3, SIGNED, NODE).to_bytes().split(b"\n")

    assert lines[:2] == [b"c2sp.org/tlog-proof@v1", b"index 3"]
    assert [len(line) for line in lines[2:6]] == [44] * 4
    assert b"\n".join(lines[7:]) == SIGNED
    assert lines[6] == b""


def test_only_entry_of_a_log_needs_no_siblings():
    node = merkle.nodes_of([merkle.leaf_hash(b"alone")])
    signed = checkpoint.sign(checkpoint.Checkpoint(SIGNER.name, 1, node(0, 0)), SIGNER)

    found = proof.parse(proof.prove(0, signed, node).to_bytes())

    assert found.hashes == ()
    proof.verify(found, b"alone", SIGNER.verifier)


@given(st.none() | st.binary(max_size=100))
def test_extra_data_is_carried(extra):
    made = dataclasses.replace(proof.prove(3, SIGNED, NODE), extra=extra)

    assert proof.parse(made.to_bytes()) == made


def test_proof_of_one_entry_does_not_show_another():
    with pytest.raises(errors.NotIncluded):
        proof.verify(proof.prove(3, SIGNED, NODE), ENTRIES[4], SIGNER.verifier)


def test_proof_with_another_index_is_refused():
    moved = dataclasses.replace(proof.prove(3, SIGNED, NODE), index=2)

    with pytest.raises(errors.NotIncluded):
        proof.verify(moved, ENTRIES[3], SIGNER.verifier)


def test_proof_with_an_index_outside_the_tree_is_refused():
    moved = dataclasses.replace(proof.prove(3, SIGNED, NODE), index=11)

    with pytest.raises(errors.OutOfTree):
        proof.verify(moved, ENTRIES[3], SIGNER.verifier)


def test_proof_under_a_checkpoint_of_another_key_is_refused():
    other = signing.Signer(SIGNER.name, Ed25519PrivateKey.generate())

    with pytest.raises(errors.UnknownSigner):
        proof.verify(proof.prove(3, checkpoint.sign(HEAD, other), NODE), ENTRIES[3], SIGNER.verifier)


GOOD = proof.prove(3, SIGNED, NODE).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD.replace(b"@v1", b"@v2"),
        GOOD.replace(b"\n\n", b"\n"),
        b"c2sp.org/tlog-proof@v1\nindex 3\n",
        b"c2sp.org/tlog-proof@v1\n\n" + SIGNED,
        GOOD.replace(b"index 3\n", b""),
        GOOD.replace(b"index 3", b"index 03"),
        GOOD.replace(b"index 3", b"index -3"),
        GOOD.replace(b"index 3", b"index  3"),
        GOOD.replace(b"index 3", b"index 3\nindex 3"),
        GOOD.replace(b"index 3", b"extra ?\nindex 3"),
        GOOD.replace(b"index 3", b"index 3\nextra YQ=="),
        GOOD.replace(b"index 3", b"index 3\nYQ=="),
        GOOD.replace(b"index 3", b"index 3\n" + b"A" * 43),
        GOOD.replace(b"index 3", "index 3\n\u00e9".encode()),
        GOOD.replace(b"index 3", b"index 3" + (b"\n" + b"A" * 43 + b"=") * 64),
    ],
)
def test_malformed_proof_is_refused(data):
    with pytest.raises(errors.MalformedProof):
        proof.parse(data)


def test_proof_larger_than_any_we_write_is_refused():
    with pytest.raises(errors.MalformedProof):
        proof.parse(GOOD + bytes(1_000_000))


def test_proof_without_a_checkpoint_is_refused_when_it_is_used():
    head = GOOD.split(b"\n\n")[0] + b"\n\n"

    with pytest.raises(errors.MalformedNote):
        proof.verify(proof.parse(head), ENTRIES[3], SIGNER.verifier)
