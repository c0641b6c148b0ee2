"""Counters as rows that are only ever added: whoever counts inserts, and the relay folds rows together.

A row that every transaction updates would make them queue for it until the first has committed. So a count is
a row of its own, of the transaction of what it counts; the value of a counter is the sum of its rows.
"""

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from service.core.db.base import Base


class Count(Base):
    """Something that happened, or the sum of what did."""

    __tablename__ = "counts"
    __table_args__ = (Index("ix_counts_name_labels", "name", "labels"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    labels: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """Values of the counter's labels, joined by a bar: `retrain|published`; bounded, never of a person."""
    amount: Mapped[float]
