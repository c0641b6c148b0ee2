"""Ledger records: the bytes of one entry, which are what the tree hashes.

    {"at":"2026-01-31T09:05:00.000000Z","body":{...},"kind":"request.completed","v":1}

Canonical JSON, so that an entry has one spelling. A body holds pseudonyms, counts, digests and codes,
never a raw identifier. Law: `parse(entry_bytes(kind, at, body)) == Entry(kind, at, body)`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.core.ledger import canonical, errors, tiles

VERSION = 1
_KIND = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)*")
_MAX_KIND_CHARS = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        kind: What, such as request.completed.
        at: When, aware, in UTC.
        body: JSON values.
    """

    kind: str
    at: datetime
    body: Mapping[str, object]


def entry_bytes(kind: str, at: datetime, body: Mapping[str, object]) -> bytes:
    """The bytes of one record, to be stored as they are and hashed by `merkle.leaf_hash`.

    Raises:
        EntryRefused: The kind is not lower-case words with dots, the time has no zone, or the body has no
            canonical JSON form.
        EntryTooLarge: The record is 64 KiB or longer.
    """
    if not _KIND.fullmatch(kind) or len(kind) > _MAX_KIND_CHARS:
        raise errors.EntryRefused(
            "expected a kind of lower-case words joined by dots, like request.completed"
        )
    try:
        data = canonical.json_bytes({"v": VERSION, "kind": kind, "at": canonical.time_text(at), "body": body})
    except errors.NotCanonical as error:
        raise errors.EntryRefused(f"the entry {kind} cannot be recorded: {error}") from error
    if len(data) > tiles.MAX_ENTRY_BYTES:
        raise errors.EntryTooLarge(
            f"expected the entry {kind} to have at most {tiles.MAX_ENTRY_BYTES} bytes, got {len(data)}: "
            "record a digest of the long part"
        )
    return data


def parse(data: bytes) -> Entry:
    """Read a record.

    Raises:
        MalformedEntry: The bytes are not exactly those that `entry_bytes` writes.
    """
    try:
        record = canonical.parse_json(data)
        if not isinstance(record, dict):
            raise errors.MalformedEntry("expected a record, got another JSON value")
        if record.get("v") != VERSION:
            raise errors.MalformedEntry(f"expected a record of version {VERSION}, got another version")
        entry = _read(record)
        is_exact = entry_bytes(entry.kind, entry.at, entry.body) == data
    except errors.Refused as error:
        raise errors.MalformedEntry(f"expected a ledger record: {error}") from error
    if not is_exact:
        raise errors.MalformedEntry("expected exactly the fields v, kind, at and body")
    return entry


def _read(record: Mapping[str, object]) -> Entry:
    kind, at, body = record.get("kind"), record.get("at"), record.get("body")
    if not isinstance(kind, str) or not isinstance(at, str) or not isinstance(body, dict):
        raise errors.MalformedEntry("expected kind and at to be text and body to be an object")
    return Entry(kind, canonical.parse_time(at), body)
