"""Named keys and the vkey format, with the key that the Go implementation publishes."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.ledger import canonical, errors, signing

GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_PRIVATE_KEY = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"


def go_signer():
    secret = canonical.parse_base64(GO_PRIVATE_KEY)
    assert secret is not None
    return signing.Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(secret[1:]))


def test_published_vkey_is_read_and_written_back():
    verifier = signing.Verifier.parse(GO_VKEY)

    assert verifier.name == "PeterNeumann"
    assert verifier.vkey == GO_VKEY
    assert go_signer().verifier == verifier


def test_only_the_whole_vkey_is_accepted():
    pieces = {GO_VKEY[i:j] for i in range(len(GO_VKEY)) for j in range(i, len(GO_VKEY) + 1)} - {GO_VKEY}

    for piece in pieces:
        with pytest.raises(errors.MalformedKey):
            signing.Verifier.parse(piece)


def test_vkey_with_any_character_changed_is_refused():
    for place, char in enumerate(GO_VKEY):
        changed = GO_VKEY[:place] + chr(ord(char) + 1) + GO_VKEY[place + 1 :]

        with pytest.raises(errors.MalformedKey):
            signing.Verifier.parse(changed)


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_vkey_of_another_length_or_type_is_refused_even_with_a_fitting_id(vkey):
    with pytest.raises(errors.MalformedKey):
        signing.Verifier.parse(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00b", "a\ud800"])
def test_name_that_a_signature_line_could_not_carry_is_refused(name):
    with pytest.raises(errors.MalformedKey):
        signing.Signer(name, Ed25519PrivateKey.generate())
    with pytest.raises(errors.MalformedKey):
        signing.Verifier(name, bytes(32))


@pytest.mark.parametrize("num_bytes", [0, 31, 33])
def test_public_key_of_another_length_is_refused(num_bytes):
    with pytest.raises(errors.MalformedKey, match=str(num_bytes)):
        signing.Verifier("log.example", bytes(num_bytes))


def test_signature_holds_for_its_message_alone():
    signer = go_signer()
    signature = signer.sign(b"message")

    assert signer.verifier.accepts(b"message", signature)
    assert not signer.verifier.accepts(b"massage", signature)
    assert not signer.verifier.accepts(b"message", signature[:-1])
    assert not signer.verifier.accepts(b"message", b"")


def test_public_key_that_is_no_point_accepts_nothing():
    verifier = signing.Verifier("nobody", b"\x02" + b"\x00" * 31)

    assert not verifier.accepts(b"message", b"\x00" * 64)
