"""Conditional requests: entity tags (RFC 9110) and digests in headers (RFC 9530)."""

import base64
import binascii
import re

from starlette.datastructures import Headers
from starlette.requests import Request

from service.core import errors

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SHA256_BYTES = 32


def quoted(tag: str) -> str:
    """Return a strong entity tag as a header carries it."""
    return f'"{tag}"'


def none_match_fails(headers: Headers, etag: str) -> bool:
    """Whether the caller already has what this tag names: `If-None-Match` lists it, or is `*`."""
    sent = ",".join(headers.getlist("if-none-match"))
    return sent == etag or sent.strip() == "*" or etag in _TAG.findall(sent)


def repr_digest(sha256: str) -> str:
    """Return the `Repr-Digest` header of bytes with this digest (hex)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def expected_sha256(request: Request) -> str | None:
    """Return the SHA-256 (hex) that the caller's `Repr-Digest` announces, or None when it announces none.

    Raises:
        errors.Invalid: The header names sha-256 but holds no digest.
    """
    for member in ",".join(request.headers.getlist("repr-digest")).split(","):
        name, _, value = member.strip().partition("=")
        if name.lower() == "sha-256":
            return _digest_of(value)
    return None


def _digest_of(value: str) -> str:
    try:
        digest = base64.b64decode(value[1:-1], validate=True) if value[:1] == value[-1:] == ":" else b""
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _SHA256_BYTES:
        raise errors.Invalid(
            "Repr-Digest was expected as `sha-256=:BASE64:` with the base64 of 32 bytes.",
            code="malformed_digest",
        )
    return digest.hex()
