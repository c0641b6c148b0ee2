"""Models, versions and files as rows."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base, new_id


class ModelState(StrEnum):
    """How far a model is."""

    REGISTERED = "registered"
    """Known by name; its weights are awaited."""
    PREPARING = "preparing"
    READY = "ready"
    """A version is served and can forget."""
    FAILED = "failed"
    """Preparation failed; new weights may be uploaded."""


class VersionState(StrEnum):
    """Whether a version may be pulled."""

    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    """It knows what its successor forgot; its files wait for the purge."""
    PURGED = "purged"


class Model(Base):
    """A trained model that must be able to forget."""

    __tablename__ = "models"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    factory: Mapped[str] = mapped_column(String(300))
    arguments: Mapped[dict[str, Any]]
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id"))
    training: Mapped[dict[str, Any]]
    """The recipe for exact retraining."""
    policy: Mapped[dict[str, Any]]
    state: Mapped[ModelState] = mapped_column(String(20), default=ModelState.REGISTERED)
    reason: Mapped[str | None] = mapped_column(String(500))
    """Why preparation failed."""
    upload_sha256: Mapped[str | None] = mapped_column(String(64))
    upload_size: Mapped[int | None] = mapped_column(BigInteger)
    num_classes: Mapped[int | None]
    training_seconds: Mapped[float | None]
    """Measured cost of training it once."""
    served_version: Mapped[int | None]
    revocation_floor: Mapped[int] = mapped_column(default=0, server_default="0")
    """Lowest version that may still be served; serving never goes below it again."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    @property
    def space(self) -> str:
        """The model's space in the artefact store."""
        return self.id.hex


class Version(Base):
    """One set of weights that was, or is, served."""

    __tablename__ = "versions"
    __table_args__ = (
        UniqueConstraint("model_id", "number"),
        Index(
            "ix_versions_unpurged",
            "withdrawn_at",
            postgresql_where=text("withdrawn_at IS NOT NULL AND purged_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"))
    number: Mapped[int]
    state: Mapped[VersionState] = mapped_column(String(20), default=VersionState.PUBLISHED)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the canonical list of its public files."""
    guarantee: Mapped[str | None] = mapped_column(String(20))
    base_number: Mapped[int | None]
    run_id: Mapped[uuid.UUID | None]
    facts: Mapped[dict[str, Any]]
    """Measured of it: accuracy on held-out data, and the like."""
    published_at: Mapped[datetime] = mapped_column(default=clock.now)
    withdrawn_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]


class Candidate(Base):
    """What a run made and its audit did not pass, kept for as long as a person may still accept it.

    It goes as soon as another version is published on its base, or a person decides otherwise.
    """

    __tablename__ = "candidates"
    __table_args__ = (Index("ix_candidates_model_id", "model_id"),)

    run_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"))
    base_number: Mapped[int]
    """Version that it was made from, and that it may follow."""
    guarantee: Mapped[str] = mapped_column(String(20))
    """What may be claimed of it: never above `approximate`."""
    verdict: Mapped[str] = mapped_column(String(20))
    is_retrained: Mapped[bool]
    files: Mapped[list[dict[str, Any]]]
    """`name`, `sha256`, `size`, `is_public` of each: the weights, and what only its method can use."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class VersionFile(Base):
    """A file of a version: public for serving, or private preparation for the next request."""

    __tablename__ = "version_files"

    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    is_public: Mapped[bool]
