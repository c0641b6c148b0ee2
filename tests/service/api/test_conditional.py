"""Entity tags and digests in headers."""

import base64
import hashlib

import pytest
from starlette.requests import Request

from service.api.conditional import expected_sha256, none_match_fails, quoted, repr_digest
from service.core import errors

ETAG = quoted("abc-1")
DIGEST = hashlib.sha256(b"weights").hexdigest()


def asking(**headers: str) -> Request:
    """A request with these headers."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize("sent", ['"abc-1"', 'W/"abc-1"', '"x", "abc-1"', '"x,y","abc-1" , "z"', "*", " * "])
def test_a_tag_that_is_listed_is_had(sent: str):
    assert none_match_fails(asking(if_none_match=sent).headers, ETAG)


@pytest.mark.parametrize("sent", ["", "abc-1", '"abc-12"', '"x"', '"*"', '"ABC-1"', '"x abc-1"'])
def test_any_other_tag_is_not(sent: str):
    assert not none_match_fails(asking(if_none_match=sent).headers, ETAG)


def test_no_header_is_no_match():
    assert not none_match_fails(asking().headers, ETAG)


def test_a_digest_reads_back_as_it_was_written():
    assert expected_sha256(asking(repr_digest=repr_digest(DIGEST))) == DIGEST


def test_digests_of_other_algorithms_are_left_alone():
    assert expected_sha256(asking(repr_digest="md5=:AAAA:")) is None
    assert expected_sha256(asking(repr_digest=f"sha-512=:AAAA:, {repr_digest(DIGEST)}")) == DIGEST
    assert expected_sha256(asking()) is None


@pytest.mark.parametrize(
    "value", ["", ":", "::", "AAAA", ":!!!!:", f":{base64.b64encode(b'short').decode()}:"]
)
def test_a_broken_digest_is_refused(value: str):
    with pytest.raises(errors.Invalid) as refusal:
        expected_sha256(asking(repr_digest=f"sha-256={value}"))

    assert refusal.value.code == "malformed_digest"
