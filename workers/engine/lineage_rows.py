"""A manifest's rows on their way to the database: fixed-size records that hold pseudonyms, never ids.

The engine knows the manifest and the worker knows the database; between them lies a scratch file, so that a
manifest of a million rows passes in a stream. Round trip: `list(read(path))` are the rows that were written.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

Row = tuple[int, bytes, bytes | None, int, int]
"""position, sample pseudonym, subject pseudonym or None, label, split code."""

RECORD = struct.Struct("<32s?32sih")
NOBODY = b"\0" * 32
RECORDS_A_READ = 4096


def write(path: Path, rows: Iterable[Row]) -> str:
    """Write rows, which must come in manifest order, and return the digest of the records, hex.

    Args:
        path: A file to make; only its owner may read it.
        rows: All rows of the manifest.
    """
    digest = hashlib.sha256()
    path.touch(mode=0o600)
    with path.open("wb") as file:
        for _, sample, subject, label, split in rows:
            record = RECORD.pack(sample, subject is not None, subject or NOBODY, label, split)
            digest.update(record)
            file.write(record)
    return digest.hexdigest()


def read(path: Path) -> Iterator[Row]:
    """Yield the rows in manifest order."""
    position = 0
    with path.open("rb") as file:
        while chunk := file.read(RECORD.size * RECORDS_A_READ):
            for sample, has_subject, subject, label, split in RECORD.iter_unpack(chunk):
                yield position, sample, subject if has_subject else None, label, split
                position += 1
