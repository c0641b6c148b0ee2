"""The ledger as rows: entries as they were committed, and the tree that gives them their order."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base


class LedgerEntry(Base):
    """One fact, inserted by the transaction of the change it tells of; append-only."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index("ix_ledger_entries_unsequenced", "id", postgresql_where=text("leaf_index IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    entry: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON, exactly as hashed."""
    request_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    leaf_index: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    """Place in the tree; the sequencer gives it once."""


class LedgerTile(Base):
    """A hash tile of C2SP tlog-tiles: up to 256 hashes of one level; only the last of a level still grows."""

    __tablename__ = "ledger_tiles"

    level: Mapped[int] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)


class LedgerCheckpoint(Base):
    """A signed tree head."""

    __tablename__ = "ledger_checkpoints"

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    note: Mapped[bytes] = mapped_column(LargeBinary)
    """The checkpoint as a signed note, exactly as it is served."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Certificate(Base):
    """The evidence of one completed request."""

    __tablename__ = "certificates"

    request_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("ledger_entries.id"))
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    """DSSE envelope, exactly as its digest in the ledger was taken."""
    sha256: Mapped[str] = mapped_column(String(64))
