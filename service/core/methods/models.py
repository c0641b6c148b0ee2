"""Methods as rows: what a worker's folder scan found, described for people and for the planner."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from service.core import clock
from service.core.db.base import Base


class MethodEntry(Base):
    """One unlearning method that some worker can run."""

    __tablename__ = "methods"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    version: Mapped[str] = mapped_column(String(20))
    guarantee: Mapped[str] = mapped_column(String(20))
    description: Mapped[dict[str, Any]]
    """kinds, needs, summary, caveats, why it is experimental (or null), what was measured of it against
    retraining, and the schema of the parameters."""
    published_at: Mapped[datetime] = mapped_column(default=clock.now)
