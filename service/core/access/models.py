"""API keys as rows: the digest of the secret, never the secret."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ARRAY, String
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base, new_id


class Scope(StrEnum):
    """What a key may do; `admin` includes every other."""

    REQUESTS_READ = "requests:read"
    REQUESTS_WRITE = "requests:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    AUDIT_READ = "audit:read"
    ADMIN = "admin"


class ApiKey(Base):
    """One key of one caller."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(40)))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    revoked_at: Mapped[datetime | None]
