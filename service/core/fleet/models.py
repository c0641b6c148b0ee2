"""Workers and relays as rows: who is there, what it does, what it holds.

A row is a claim about the recent past, for people and for alarms. Nothing is decided by it: who may write for
a job, the job's lease alone tells.
"""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String, func
from sqlalchemy.orm import Mapped, mapped_column

from service.core.db.base import Base


class Role(StrEnum):
    """What a process does."""

    WORKER = "worker"
    RELAY = "relay"


class MemberState(StrEnum):
    """What a process is doing."""

    IDLE = "idle"
    RUNNING = "running"
    DRAINING = "draining"
    """It takes no more jobs and ends soon."""


class Member(Base):
    """A worker or a relay that was seen lately."""

    __tablename__ = "workers"

    owner: Mapped[str] = mapped_column(String(200), primary_key=True)
    """Its name in the jobs it claims."""
    role: Mapped[Role] = mapped_column(String(20))
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    device: Mapped[str | None] = mapped_column(String(40))
    """Where its engine computes; None for a relay."""
    state: Mapped[MemberState] = mapped_column(String(20))
    job_id: Mapped[uuid.UUID | None]
    """What it works on. No foreign key: a heartbeat must not wait for whoever holds the job's row."""
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    """By the database's clock."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """`engine_bytes`, `engine_peak_bytes`; `held_models`, `held_bytes`; `gpu_used_bytes`, `gpu_total_bytes`;
    `methods` by name with version."""
