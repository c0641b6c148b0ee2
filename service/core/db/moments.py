"""Moments by the database's clock, which all machines agree on, whatever their own clocks say."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, func


def moment(seconds_from_now: float = 0.0) -> ColumnElement[datetime]:
    """Return a moment by the database's clock, as it reads the statement."""
    return func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=seconds_from_now)
