"""Time as the kernel knows it: aware UTC moments, and the legal month of Art. 12(3) GDPR."""

import calendar
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def add_months(moment: datetime, months: int) -> datetime:
    """Return the same day and hour `months` calendar months later.

    A day that the later month lacks becomes that month's last day: 31 January and one month is the end of
    February.
    """
    index = moment.month - 1 + months
    year, month = moment.year + index // 12, index % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def rfc3339(moment: datetime) -> str:
    """Return a moment as the API and the ledger write it, e.g. `2026-11-21T00:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
