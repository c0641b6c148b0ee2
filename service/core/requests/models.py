"""Forget requests, the runs that serve them, and idempotency keys as rows."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, ForeignKey, Index, Integer, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base, new_id
from service.core.requests.states import Status

AUTO = "auto"
"""The method of a request that leaves the choice to the policy."""


class TargetKind(StrEnum):
    """What a request names."""

    CLASS = "class"
    SAMPLES = "samples"
    SUBJECT = "subject"


class RunState(StrEnum):
    """How far a run is, and how it ended."""

    RUNNING = "running"
    AUDITING = "auditing"
    PUBLISHED = "published"
    INTERIM = "interim"
    """Its version is served, and its requests wait for the exact retraining that closes them."""
    ACCEPTED = "accepted"
    """Every rung failed its audit; a person accepted a candidate, and it was published."""
    REFUSED = "refused"
    """No rung passed its audit; nothing was published."""
    BROKEN = "broken"
    """The attempt was lost: a crash, a lost lease, a full disk."""


class ForgetRequest(Base):
    """One request of one caller: what to forget, by when, and what became of it."""

    __tablename__ = "forget_requests"
    __table_args__ = (
        Index("ix_forget_requests_model_status", "model_id", "status"),
        Index(
            "ix_forget_requests_interim",
            "model_id",
            "status",
            postgresql_where=text("interim IS NOT NULL"),
        ),
        Index(
            "ix_forget_requests_due",
            "due_at",
            postgresql_where=text("status NOT IN ('completed', 'rejected', 'cancelled')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"))
    principal: Mapped[str] = mapped_column(String(60))
    status: Mapped[Status] = mapped_column(String(20), default=Status.RECEIVED)
    reason: Mapped[str | None] = mapped_column(String(200))
    """Stable code of why it was rejected, failed or needs review."""
    kind: Mapped[TargetKind] = mapped_column(String(20))
    classes: Mapped[list[int]] = mapped_column(ARRAY(Integer), default=list)
    positions: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    """Manifest positions of the samples; gone when the request closes."""
    num_samples: Mapped[int]
    method: Mapped[str] = mapped_column(String(60))
    ground: Mapped[str | None] = mapped_column(String(60))
    submitted_at: Mapped[datetime]
    """When the person asked: the legal clock starts here."""
    received_at: Mapped[datetime] = mapped_column(default=clock.now)
    due_at: Mapped[datetime]
    held_until: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("runs.id"))
    interim: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The interim version that forgot it: `version`, `guarantee`, `published_at`, `run`."""
    correlation_id: Mapped[str | None] = mapped_column(String(100))
    """`X-Request-ID` of the call that brought it: the one id on every log line about it."""
    trace_parent: Mapped[str | None] = mapped_column(String(55))
    """W3C `traceparent` of that call, if it was traced."""


class Run(Base):
    """One attempt to serve every request that waited for a model."""

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_model", "model_id"), Index("ix_runs_job_id", "job_id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"))
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    epoch: Mapped[int]
    state: Mapped[RunState] = mapped_column(String(20), default=RunState.RUNNING)
    base_version: Mapped[int]
    version: Mapped[int | None]
    seed: Mapped[int]
    stage: Mapped[str] = mapped_column(String(60), default="claimed")
    fraction: Mapped[float] = mapped_column(default=0.0)
    """Progress of the present stage in [0, 1]."""
    rungs: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """Each rung that was tried: its steps with method, version, parameters and seconds, and its audit."""
    rung: Mapped[int | None]
    """Which of the rungs the version, or the candidate that was kept, came from; None: the last."""
    acceptance: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Who accepted what the audit refused: `by`, `reason`, `at`."""
    reason: Mapped[str | None] = mapped_column(String(500))
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]

    @property
    def deciding_rung(self) -> dict[str, Any]:
        """The rung whose candidate was published, or may be accepted."""
        return self.rungs[-1 if self.rung is None else self.rung]

    def close(self, state: RunState, reason: str | None = None) -> None:
        """End the run, unless it has ended."""
        if self.finished_at is None:
            self.state, self.finished_at, self.fraction = state, clock.now(), 1.0
            self.reason = reason and reason[:500]


class IdempotencyKey(Base):
    """A caller's key and what it stood for the first time."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    principal: Mapped[str] = mapped_column(String(60), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Keyed HMAC of the body's digest."""
    request_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
