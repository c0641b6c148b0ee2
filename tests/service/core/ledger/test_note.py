"""Signed notes: the published example, the format's edges, and whose signatures count."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.ledger import canonical, errors, note, signing

GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"  # noqa: E501 published so
).encode()
GO_VERIFIER = signing.Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")


def signer(name="log.example", seed=1):
    return signing.Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def test_published_note_verifies():
    found = note.parse(GO_NOTE)

    assert found.text == GO_TEXT
    assert note.verify(found, [GO_VERIFIER]) == (GO_VERIFIER,)
    assert found.to_bytes() == GO_NOTE


def test_published_note_is_reproduced_byte_for_byte():
    secret = canonical.parse_base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
    assert secret is not None
    go_signer = signing.Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(secret[1:]))

    assert note.sign(GO_TEXT, [go_signer]).to_bytes() == GO_NOTE


def test_text_may_hold_empty_lines():
    signed = note.sign("one\n\n\ntwo\n\n", [signer()])

    assert note.parse(signed.to_bytes()) == signed


def test_changed_text_is_refused():
    with pytest.raises(errors.BadSignature):
        note.verify(note.parse(GO_NOTE.replace(b"answer", b"Answer")), [GO_VERIFIER])


def test_signatures_by_unknown_keys_are_left_alone():
    signed = note.sign("text\n", [signer("witness.example", 2), signer()])

    assert note.verify(signed, [signer().verifier]) == (signer().verifier,)


def test_note_without_a_known_signature_is_refused():
    with pytest.raises(errors.UnknownSigner, match=r"log\.example\+"):
        note.verify(note.sign("text\n", [signer("witness.example", 2)]), [signer().verifier])


def test_same_name_with_another_key_is_unknown():
    with pytest.raises(errors.UnknownSigner):
        note.verify(note.sign("text\n", [signer(seed=2)]), [signer(seed=1).verifier])


def test_one_false_signature_of_a_known_key_spoils_the_note():
    good = note.sign("text\n", [signer()])
    false = note.Signature("log.example", signer().verifier.key_id, bytes(64))

    with pytest.raises(errors.BadSignature):
        note.verify(note.Note(good.text, (*good.signatures, false)), [signer().verifier])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"\n\n" + GO_NOTE.split(b"\n\n")[1],
        GO_NOTE[:-1],
        GO_NOTE[:-1] + b"x",
        GO_NOTE + b"\n",
        GO_NOTE + b"trailing\n",
        GO_NOTE.replace(b"\n\n", b"\n"),
        GO_NOTE.replace("— ".encode(), b"- "),
        GO_NOTE.replace("— ".encode(), b""),
        GO_NOTE.replace(b"PeterNeumann ", b"PeterNeumann  "),
        GO_NOTE.replace(b"PeterNeumann ", b""),
        GO_NOTE.replace(b"PeterNeumann", b"Peter+Neumann"),
        GO_NOTE.replace(b"JnAM=", b"JnAN="),
        GO_NOTE.replace(b"\n\n", b"\r\n\n"),
        GO_NOTE.replace(b"If", b"\xff"),
        "text\n\n— name AAAAAA==\n".encode(),
    ],
)
def test_malformed_note_is_refused(data):
    with pytest.raises(errors.MalformedNote):
        note.parse(data)


@pytest.mark.parametrize("text", ["", "\n", "no newline", "tab\there\n", "surrogate \ud800\n"])
def test_text_that_cannot_be_a_notes_is_not_signed(text):
    with pytest.raises(errors.MalformedNote):
        note.sign(text, [signer()])


def test_note_with_many_signatures_is_read_and_one_with_too_many_refused():
    line = "— name AAAAAAA=\n"

    assert len(note.parse(f"text\n\n{line * note.MAX_SIGNATURES}".encode()).signatures) == note.MAX_SIGNATURES
    with pytest.raises(errors.MalformedNote, match="at most"):
        note.parse(f"text\n\n{line * (note.MAX_SIGNATURES + 1)}".encode())


def test_note_larger_than_any_we_write_is_refused():
    signed = note.sign("a" * note.MAX_NOTE_BYTES + "\n", [signer()])

    with pytest.raises(errors.MalformedNote, match="at most"):
        note.parse(signed.to_bytes())
