"""DSSE envelopes: the published encoding, and signatures that count."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.ledger import dsse, errors, signing

TYPE = "application/example"
SIGNER = signing.Signer("lethe.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
PAYLOAD = b'{"a":"\xc3\xbf\xc3\xbe?"}'


def test_pre_authentication_encoding_is_the_published_one():
    encoded = dsse.pae("http://example.com/HelloWorld", b"hello world")

    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_payload_comes_back_from_its_envelope():
    data = dsse.sign(TYPE, PAYLOAD, SIGNER)

    assert dsse.verify(data, TYPE, SIGNER.verifier) == PAYLOAD
    assert json.loads(data)["signatures"][0]["keyid"] == SIGNER.verifier.label
    assert data == dsse.sign(TYPE, PAYLOAD, SIGNER)


def test_envelope_by_another_key_is_refused():
    other = signing.Signer(SIGNER.name, Ed25519PrivateKey.generate())

    with pytest.raises(errors.UnknownSigner):
        dsse.verify(dsse.sign(TYPE, PAYLOAD, other), TYPE, SIGNER.verifier)


def test_key_id_decides_nothing():
    envelope = json.loads(dsse.sign(TYPE, PAYLOAD, SIGNER))
    envelope["signatures"][0]["keyid"] = "somebody else"

    assert dsse.verify(json.dumps(envelope).encode(), TYPE, SIGNER.verifier) == PAYLOAD


def test_one_signature_that_holds_is_enough():
    envelope = json.loads(dsse.sign(TYPE, PAYLOAD, SIGNER))
    envelope["signatures"].insert(0, {"keyid": "another", "sig": "AAAA"})

    assert dsse.verify(json.dumps(envelope).encode(), TYPE, SIGNER.verifier) == PAYLOAD


def test_url_safe_base64_is_accepted():
    envelope = json.loads(dsse.sign(TYPE, PAYLOAD, SIGNER))
    envelope["payload"] = base64.urlsafe_b64encode(PAYLOAD).decode()
    assert "_" in envelope["payload"]

    assert dsse.verify(json.dumps(envelope).encode(), TYPE, SIGNER.verifier) == PAYLOAD


def test_changed_payload_is_refused():
    envelope = json.loads(dsse.sign(TYPE, PAYLOAD, SIGNER))
    envelope["payload"] = base64.b64encode(PAYLOAD + b" ").decode()

    with pytest.raises(errors.UnknownSigner):
        dsse.verify(json.dumps(envelope).encode(), TYPE, SIGNER.verifier)


def test_envelope_of_another_type_is_refused():
    with pytest.raises(errors.MalformedEnvelope):
        dsse.verify(dsse.sign("text/plain", PAYLOAD, SIGNER), TYPE, SIGNER.verifier)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 50_000,
        b"{}",
        b'{"payload":"YQ==","payloadType":"application/example","signatures":{}}',
        b'{"payload":"YQ==","payloadType":"application/example","signatures":[1]}',
        b'{"payload":"YQ==","payloadType":"application/example","signatures":[{}]}',
        b'{"payload":"Y","payloadType":"application/example","signatures":[]}',
        b'{"payload":1,"payloadType":"application/example","signatures":[]}',
    ],
)
def test_other_files_are_no_envelope(data):
    with pytest.raises(errors.MalformedEnvelope):
        dsse.verify(data, TYPE, SIGNER.verifier)


def test_envelope_larger_than_any_certificate_is_refused():
    data = dsse.sign(TYPE, PAYLOAD, SIGNER)

    with pytest.raises(errors.MalformedEnvelope, match="at most"):
        dsse.verify(data + b" " * dsse.MAX_ENVELOPE_BYTES, TYPE, SIGNER.verifier)


def test_envelope_without_signatures_is_refused():
    with pytest.raises(errors.UnknownSigner):
        dsse.verify(
            b'{"payload":"YQ==","payloadType":"application/example","signatures":[]}', TYPE, SIGNER.verifier
        )
