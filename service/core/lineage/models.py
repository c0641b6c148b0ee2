"""Datasets, their samples under pseudonym, and what each model has forgotten.

No raw sample or subject id is kept: a row holds the keyed HMAC and the position in the owner's manifest. The
owner's manifest stays the only place where a position leads back to an id.
"""

import uuid
from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base, new_id


class Split(IntEnum):
    """What a sample was used for, in the order of the numerical side's split codes."""

    TRAIN = 0
    HOLDOUT = 1
    TEST = 2


class Dataset(Base):
    """One dataset as its owner describes it."""

    __tablename__ = "datasets"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    """Part of every pseudonym: the same id in two datasets is two samples."""
    spec: Mapped[dict[str, Any]]
    manifest_digest: Mapped[str | None] = mapped_column(String(64))
    num_samples: Mapped[int | None]
    class_counts: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """How many training samples each class has, by label; counted once, when the manifest is ingested."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    ingested_at: Mapped[datetime | None]


class Sample(Base):
    """One row of a manifest."""

    __tablename__ = "samples"
    __table_args__ = (
        Index("uq_samples_dataset_pseudonym", "dataset_id", "pseudonym", unique=True),
        Index("ix_samples_dataset_subject", "dataset_id", "subject"),
        Index("ix_samples_dataset_label", "dataset_id", "split", "label"),
    )

    dataset_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[bytes] = mapped_column(LargeBinary(32))
    subject: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    label: Mapped[int]
    split: Mapped[Split] = mapped_column(SmallInteger)


class Tombstone(Base):
    """A sample that a model has forgotten and must never learn again."""

    __tablename__ = "tombstones"
    __table_args__ = (Index("ix_tombstones_pseudonym", "pseudonym"),)

    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[bytes] = mapped_column(LargeBinary(32))
    run_id: Mapped[uuid.UUID]
    forgotten_at: Mapped[datetime] = mapped_column(default=clock.now)


class ForgottenClass(Base):
    """A class that a model has forgotten."""

    __tablename__ = "forgotten_classes"

    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"), primary_key=True)
    label: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID]
    forgotten_at: Mapped[datetime] = mapped_column(default=clock.now)
