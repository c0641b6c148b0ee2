"""Ledger records: their one spelling, their limits, and what is not a record."""

from datetime import UTC, datetime

import pytest

from service.core.ledger import canonical, entries, errors

AT = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
GOOD = b'{"at":"2026-01-31T09:05:00.000000Z","body":{"status":"completed"},"kind":"request.completed","v":1}'


def test_record_has_one_spelling():
    assert entries.entry_bytes("request.completed", AT, {"status": "completed"}) == GOOD


def test_record_comes_back_as_it_was():
    body = {"counts": [1, 2, {"é": None}], "ok": True, "value": 0.25}

    found = entries.parse(entries.entry_bytes("version.published", AT, body))

    assert found == entries.Entry("version.published", AT, body)


@pytest.mark.parametrize(
    "kind", ["", "Request", "request.", ".request", "request completed", "request\n", "r" * 65]
)
def test_other_kinds_are_refused(kind):
    with pytest.raises(errors.EntryRefused):
        entries.entry_bytes(kind, AT, {})


def test_kind_may_have_64_characters():
    assert entries.parse(entries.entry_bytes("r" * 64, AT, {})).kind == "r" * 64


def test_naive_time_is_refused():
    with pytest.raises(errors.EntryRefused, match="time zone"):
        entries.entry_bytes("request.completed", datetime(2026, 1, 31), {})


def test_body_without_canonical_form_is_refused():
    with pytest.raises(errors.EntryRefused, match=r"request\.completed"):
        entries.entry_bytes("request.completed", AT, {"value": float("nan")})


def test_largest_record_is_written_and_one_byte_more_is_refused():
    room = 65_535 - len(entries.entry_bytes("request.completed", AT, {"text": ""}))

    assert len(entries.entry_bytes("request.completed", AT, {"text": "a" * room})) == 65_535
    with pytest.raises(errors.EntryTooLarge, match="65536"):
        entries.entry_bytes("request.completed", AT, {"text": "a" * (room + 1)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1",
        b"[]",
        b"[" * 50_000,
        GOOD[:-1],
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(b'"v":1', b'"v":1,"w":1'),
        GOOD.replace(b',"v":1', b""),
        GOOD.replace(b'"v":1', b'"v": 1'),
        GOOD.replace(b'{"status":"completed"}', b"[]"),
        GOOD.replace(b'"request.completed"', b"1"),
        GOOD.replace(b'"2026-01-31T09:05:00.000000Z"', b"1"),
        GOOD.replace(b"request.completed", b"Request"),
        GOOD.replace(b".000000Z", b"Z"),
    ],
)
def test_other_bytes_are_no_record(data):
    with pytest.raises(errors.MalformedEntry):
        entries.parse(data)


def test_record_of_a_later_version_says_so():
    with pytest.raises(errors.MalformedEntry, match="version"):
        entries.parse(canonical.json_bytes({"v": 2, "kind": "a", "at": canonical.time_text(AT), "body": {}}))
