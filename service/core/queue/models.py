"""Jobs as rows. The database itself refuses a second runner for a model."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base, new_id


class JobKind(StrEnum):
    """What a job does."""

    PREPARE = "prepare"
    """Make a freshly uploaded model ready to forget, then publish version 1."""
    UNLEARN = "unlearn"
    """Take every request that waits for the model, forget, audit, publish."""
    EXACT = "exact"
    """Retrain without what interim versions have forgotten, for all requests at once; may be due later."""
    ACCEPT = "accept"
    """Publish what a person accepted although its audit refused it; goes before every other job."""
    PURGE = "purge"
    """Delete the files of withdrawn versions and leave receipts."""
    REFRESH = "refresh"
    """Take anew what the served version needs for its next request; only a study comes after it."""
    STUDY = "study"
    """Make references for the audit and rehearse forgetting, a turn at a time; every other job goes first."""


class JobState(StrEnum):
    """Where a job stands."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    PARKED = "parked"
    """Out of attempts: kept with its reason for a person to look at."""


class Job(Base):
    """A piece of work for one model.

    A job that nobody has touched yet (`ready`, no attempts) is unique for its model and kind: whoever wants
    the same work joins it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("uq_jobs_running_model", "model_id", unique=True, postgresql_where=text("state = 'running'")),
        Index(
            "uq_jobs_untouched_model_kind",
            "model_id",
            "kind",
            unique=True,
            postgresql_where=text("state = 'ready' AND attempts = 0"),
        ),
        Index("ix_jobs_turn", "rank", "turn_at", "position", postgresql_where=text("state = 'ready'")),
        Index(
            "ix_jobs_ready_model", "model_id", "rank", "position", postgresql_where=text("state = 'ready'")
        ),
        Index("ix_jobs_open", "state", "lease_until", postgresql_where=text("state IN ('ready', 'running')")),
        Index("ix_jobs_parked", "model_id", postgresql_where=text("state = 'parked'")),
        Index("ix_jobs_done", "finished_at", postgresql_where=text("state = 'done'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    position: Mapped[int] = mapped_column(BigInteger, Identity())
    """Order in which jobs came."""
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    kind: Mapped[JobKind] = mapped_column(String(20))
    state: Mapped[JobState] = mapped_column(String(20), default=JobState.READY)
    rank: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    """How far its kind stands behind what people wait for."""
    turn_at: Mapped[datetime] = mapped_column(server_default=text("now() + '1 mon'::interval"))
    """The moment by which it takes its turn among all models: when it is due, if a request dates it."""
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    """Grows with each claim; every write of an attempt carries it."""
    lease_until: Mapped[datetime | None]
    owner: Mapped[str | None] = mapped_column(String(200))
    due_at: Mapped[datetime | None]
    """The earliest date by which a request that it serves must be answered; None where nobody waits."""
    not_before: Mapped[datetime | None]
    """A retry, a run that others may join, or an exact retraining that is put off waits until then."""
    reason: Mapped[str | None] = mapped_column(String(500))
    """Why the last attempt failed."""
    evidence: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """Each attempt that was lost or failed: `attempt`, `at`, `owner`, `reason`, and what else is known."""
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]
    rung_at: Mapped[datetime | None]
    """When the relay last rang for it."""
