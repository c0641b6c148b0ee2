"""The queries on the ledger: append in the transaction of the change, sequence in batches, read back tiles.

An entry costs its transaction one insert. One sequencer at a time gives committed entries their order, hashes
them into the tiles and signs the new head; two relays may try, a lock lets one.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import ARRAY, BigInteger, LargeBinary, Uuid, bindparam, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import Base
from service.core.ledger import canonical, checkpoint, entries, merkle, proof, tiles
from service.core.ledger.models import Certificate, LedgerCheckpoint, LedgerEntry, LedgerTile
from service.core.ledger.signing import Signer

SEQUENCER_LOCK = 0x1E7E
BATCH = 4096

_ROWS = (
    func.unnest(bindparam("written", type_=ARRAY(LargeBinary)), bindparam("about", type_=ARRAY(Uuid())))
    .table_valued("entry", "request_id", with_ordinality="place")
    .render_derived()
)
_ENTRIES = Base.metadata.tables[LedgerEntry.__tablename__]
APPEND = (
    insert(_ENTRIES)
    .from_select(["entry", "request_id"], select(_ROWS.c.entry, _ROWS.c.request_id).order_by(_ROWS.c.place))
    .returning(_ENTRIES.c.id)
)
"""Made once, and of the table itself: the unit of work has no part in rows that nobody changes."""


@dataclass(frozen=True)
class Fact:
    """What an entry is to tell.

    Attributes:
        kind: What happened, e.g. `request.completed`.
        body: Pseudonyms, counts, digests and codes.
        request_id: The request it is about, if any.
    """

    kind: str
    body: Mapping[str, Any]
    request_id: uuid.UUID | None = None


def append(
    session: Session, kind: str, body: Mapping[str, Any], *, request_id: uuid.UUID | None = None
) -> int:
    """Insert an entry and return its id; its place in the tree comes later.

    Args:
        session: The transaction of the change that the entry tells of.
        kind: What happened, e.g. `request.completed`.
        body: Pseudonyms, counts, digests and codes.
        request_id: The request it is about, if any; kept beside the entry so that a timeline is one look-up.

    Raises:
        ledger.errors.EntryRefused: The body has no canonical form or is too large.
    """
    return append_all(session, [Fact(kind, body, request_id)])[0]


def append_all(session: Session, facts: Sequence[Fact]) -> list[int]:
    """Insert entries by one statement, in their order, and return their ids.

    Raises:
        ledger.errors.EntryRefused: A body has no canonical form or is too large.
    """
    if not facts:
        return []
    now = clock.now()
    written = [entries.entry_bytes(fact.kind, now, fact.body) for fact in facts]
    about = [fact.request_id for fact in facts]
    # Ids are given in the order of the rows, and may be told in another.
    return sorted(session.scalars(APPEND, {"written": written, "about": about}))


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, hex."""
    return hashlib.sha256(canonical.json_bytes(value)).hexdigest()


def sequence(session: Session, signer: Signer) -> int:
    """Give committed entries their place, in order of their ids, and sign the new head.

    Returns:
        How many entries were sequenced; 0 when none waits or another sequencer is at work.
    """
    if not session.scalar(select(func.pg_try_advisory_xact_lock(SEQUENCER_LOCK))):
        return 0
    waiting = session.execute(
        select(LedgerEntry.id, LedgerEntry.entry)
        .where(LedgerEntry.leaf_index.is_(None))
        .order_by(LedgerEntry.id)
        .limit(BATCH)
    ).all()
    if not waiting:
        return 0
    old_size = size(session)
    # One statement for all: one an entry takes as long as everything else here together.
    ids, indices = [row.id for row in waiting], [*range(old_size, old_size + len(waiting))]
    places = (
        func.unnest(cast(ids, ARRAY(BigInteger)), cast(indices, ARRAY(BigInteger)))
        .table_valued("id", "leaf_index")
        .render_derived()
    )
    session.execute(
        update(LedgerEntry)
        .where(LedgerEntry.id == places.c.id)
        .values(leaf_index=places.c.leaf_index)
        .execution_options(synchronize_session=False)
    )
    _grow(session, 0, old_size, [merkle.leaf_hash(row.entry) for row in waiting])
    new_size = old_size + len(waiting)
    head = checkpoint.Checkpoint(signer.name, new_size, merkle.root_of(new_size, _nodes(session)))
    session.add(LedgerCheckpoint(size=new_size, note=checkpoint.sign(head, signer)))
    session.flush()
    return len(waiting)


def size(session: Session) -> int:
    """Return how many entries the newest checkpoint covers."""
    return session.scalar(select(func.max(LedgerCheckpoint.size))) or 0


def newest_checkpoint(session: Session) -> LedgerCheckpoint | None:
    """Return the newest signed head, or None for an empty log."""
    return session.scalar(select(LedgerCheckpoint).order_by(LedgerCheckpoint.size.desc()).limit(1))


def tile_bytes(session: Session, address: tiles.Address) -> bytes:
    """Return what a tile's path serves.

    Raises:
        errors.NotFound: The log is not that large.
    """
    if not address.is_in(size(session)):
        raise errors.NotFound("The log has no such tile yet.")
    if address.level is None:
        stored = session.scalars(
            select(LedgerEntry.entry)
            .where(
                LedgerEntry.leaf_index >= address.start,
                LedgerEntry.leaf_index < address.start + address.width,
            )
            .order_by(LedgerEntry.leaf_index)
        )
        return tiles.bundle(stored)
    return _tile(session, address.level, address.index)[: address.width * merkle.HASH_BYTES]


def prove(session: Session, entry_id: int) -> proof.Proof | None:
    """Return the proof that an entry stands in the newest tree, or None while it waits for its place."""
    index = session.scalar(select(LedgerEntry.leaf_index).where(LedgerEntry.id == entry_id))
    head = newest_checkpoint(session)
    if index is None or head is None:
        return None
    return proof.prove(index, head.note, _nodes(session))


def certificate_of(session: Session, request_id: uuid.UUID) -> Certificate | None:
    """Return the certificate of a completed request, or None."""
    return session.get(Certificate, request_id)


def keep_certificates(session: Session, certificates: Iterable[tuple[uuid.UUID, int, bytes, str]]) -> None:
    """Insert certificates by COPY: they are the largest rows of all, and a statement's bytes are escaped.

    Args:
        session: The transaction.
        certificates: Of each its request, the id of the entry that tells its digest, envelope and digest.
    """
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with (
        driver.cursor() as cursor,
        cursor.copy(
            "COPY certificates (request_id, entry_id, envelope, sha256) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["uuid", "int8", "bytea", "varchar"])
        for row in certificates:
            copy.write_row(row)


def entries_about(session: Session, request_id: uuid.UUID) -> Sequence[entries.Entry]:
    """Return everything the ledger tells of one request, in order."""
    rows = session.scalars(
        select(LedgerEntry.entry).where(LedgerEntry.request_id == request_id).order_by(LedgerEntry.id)
    )
    return [entries.parse(row) for row in rows]


def _grow(session: Session, level: int, width: int, hashes: Sequence[bytes]) -> None:
    """Append hashes to a level that has `width` of them, and what they complete to the level above."""
    completed: list[bytes] = []
    place = width
    while place < width + len(hashes):
        index, offset = divmod(place, tiles.TILE_WIDTH)
        piece = hashes[place - width : place - width + tiles.TILE_WIDTH - offset]
        data = (_tile(session, level, index) if offset else b"") + b"".join(piece)
        session.execute(
            insert(LedgerTile)
            .values(level=level, index=index, hashes=data)
            .on_conflict_do_update(index_elements=["level", "index"], set_={"hashes": data})
        )
        place += len(piece)
        if offset + len(piece) == tiles.TILE_WIDTH:
            completed.append(merkle.tree_hash(tiles.parse_hashes(data, tiles.TILE_WIDTH)))
    if completed:
        _grow(session, level + 1, width // tiles.TILE_WIDTH, completed)


def _nodes(session: Session) -> merkle.NodeReader:
    return tiles.nodes_of(lambda level, index: _tile(session, level, index))


def _tile(session: Session, level: int, index: int) -> bytes:
    hashes = session.scalar(
        select(LedgerTile.hashes).where(LedgerTile.level == level, LedgerTile.index == index)
    )
    if hashes is None:
        raise errors.IntegrityBroken(f"Tile {index} of level {level} of the ledger is missing.")
    return hashes
