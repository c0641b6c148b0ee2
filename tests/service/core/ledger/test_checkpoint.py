"""Checkpoints: the three lines, who may sign them, and what is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.ledger import checkpoint, errors, merkle, note, signing

ORIGIN = "lethe.example/log"
SIGNER = signing.Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ROOT_TEXT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
HEAD = checkpoint.parse_text(f"{ORIGIN}\n20852163\n{ROOT_TEXT}\n")


def test_signed_checkpoint_comes_back_as_it_was():
    data = checkpoint.sign(HEAD, SIGNER)

    assert checkpoint.verify(data, SIGNER.verifier) == HEAD
    assert checkpoint.parse(data) == HEAD
    assert data.startswith(f"{ORIGIN}\n20852163\n{ROOT_TEXT}\n\n— {ORIGIN} ".encode())


def test_checkpoint_of_the_empty_log_has_the_hash_of_nothing():
    empty = checkpoint.Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)

    assert checkpoint.verify(checkpoint.sign(empty, SIGNER), SIGNER.verifier) == empty


def test_extension_lines_are_kept():
    extended = checkpoint.Checkpoint(ORIGIN, 1, HEAD.root, ("more", "and more"))

    assert checkpoint.parse_text(extended.text) == extended


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n1\n{ROOT_TEXT}",
        f"{ORIGIN}\n{ROOT_TEXT}\n",
        f"\n1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n01\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n-1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1_0\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n\u0661\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT[:-4]}\n",
        f"{ORIGIN}\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}\n\nextension\n",
        f"{ORIGIN}\n0\n{ROOT_TEXT}\n",
    ],
)
def test_malformed_checkpoint_is_refused(text):
    with pytest.raises(errors.MalformedCheckpoint):
        checkpoint.parse_text(text)


def test_changed_size_is_refused():
    data = checkpoint.sign(HEAD, SIGNER).replace(b"20852163", b"20852162")

    with pytest.raises(errors.BadSignature):
        checkpoint.verify(data, SIGNER.verifier)


def test_checkpoint_by_another_key_is_refused():
    other = signing.Signer(ORIGIN, Ed25519PrivateKey.generate())

    with pytest.raises(errors.UnknownSigner):
        checkpoint.verify(checkpoint.sign(HEAD, other), SIGNER.verifier)


def test_checkpoint_of_another_log_is_refused_even_when_our_key_signed_it():
    foreign = checkpoint.Checkpoint("other.example/log", 1, HEAD.root)
    data = note.sign(foreign.text, [SIGNER]).to_bytes()

    with pytest.raises(errors.WrongOrigin):
        checkpoint.verify(data, SIGNER.verifier)
    with pytest.raises(errors.WrongOrigin):
        checkpoint.sign(foreign, SIGNER)


def test_checkpoint_that_would_not_read_back_is_not_signed():
    with pytest.raises(errors.MalformedCheckpoint):
        checkpoint.sign(checkpoint.Checkpoint(ORIGIN, 1, HEAD.root, ("two\nlines",)), SIGNER)
