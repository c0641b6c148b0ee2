"""DSSE version 1 envelopes: a payload, its type, and a signature over both.

    {"payload": base64, "payloadType": "...", "signatures": [{"keyid": "...", "sig": base64}]}

What is signed is PAE(type, payload) = "DSSEv1" SP len(type) SP type SP len(payload) SP payload. The key id
is a hint and decides nothing. Law: `verify(sign(type, payload, signer), type, signer.verifier) == payload`.
"""

import base64
import json
from collections.abc import Mapping

from service.core.ledger import canonical, errors, signing

MAX_ENVELOPE_BYTES = 16_000_000


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed."""
    type_bytes = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(type_bytes), type_bytes, len(payload), payload)


def sign(payload_type: str, payload: bytes, signer: signing.Signer) -> bytes:
    """The envelope as canonical JSON, the same bytes every time."""
    signature = {
        "keyid": signer.verifier.label,
        "sig": canonical.base64_text(signer.sign(pae(payload_type, payload))),
    }
    return canonical.json_bytes(
        {"payload": canonical.base64_text(payload), "payloadType": payload_type, "signatures": [signature]}
    )


def verify(data: bytes, payload_type: str, verifier: signing.Verifier) -> bytes:
    """The payload, once a signature over it by this key was found.

    Raises:
        MalformedEnvelope: The bytes are no envelope, or carry another type.
        UnknownSigner: No signature is by this key over this payload.
    """
    found_type, payload, signatures = _parse(data)
    if found_type != payload_type:
        raise errors.MalformedEnvelope(f"expected an envelope of type {payload_type}, got another type")
    message = pae(payload_type, payload)
    if not any(verifier.accepts(message, signature) for signature in signatures):
        raise errors.UnknownSigner(
            f"expected a signature by {verifier.label} over this payload, got none that holds"
        )
    return payload


def _parse(data: bytes) -> tuple[object, bytes, list[bytes]]:
    """Payload type, payload and signatures; fields we do not know are left alone, as DSSE demands."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise errors.MalformedEnvelope(f"expected at most {MAX_ENVELOPE_BYTES} bytes, got {len(data)}")
    try:
        envelope: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise errors.MalformedEnvelope("expected a DSSE envelope in JSON, got something else") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("signatures"), list):
        raise errors.MalformedEnvelope("expected payload, payloadType and a list of signatures")
    signatures = [_decode(line, "sig") for line in envelope["signatures"]]
    return envelope.get("payloadType"), _decode(envelope, "payload"), signatures


def _decode(record: object, field: str) -> bytes:
    """A base64 field, in the standard or the URL-safe alphabet: verifiers must accept both."""
    text = record.get(field) if isinstance(record, Mapping) else None
    if isinstance(text, str):
        try:
            return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError as error:
            raise errors.MalformedEnvelope(f"expected base64 in {field}") from error
    raise errors.MalformedEnvelope(f"expected base64 text in {field}")
