"""How numbers and times are written for people; every function is a filter of the templates."""

from datetime import UTC, datetime, timedelta

from service.core.reports.numbers import MINUS, NOTHING, counted, decimal, percent, seconds

__all__ = [
    "MINUS", "NOTHING", "age", "clock_time", "counted", "day", "days_left", "decimal", "duration", "moment",
    "percent", "seconds", "size", "took",
]  # fmt: skip

_STEPS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


def duration(span: timedelta) -> str:
    """Write a span in its largest unit: `3 days`, `1 hour`, `less than a minute`."""
    total = span.total_seconds()
    for length, unit in _STEPS:
        if total >= length:
            return counted(int(total // length), unit)
    return "less than a minute"


def age(moment: datetime | None, now: datetime) -> str:
    """Write how long ago a moment was."""
    if moment is None:
        return "never"
    span = now - moment
    return "just now" if span < timedelta(minutes=1) else f"{duration(span)} ago"


def took(span: timedelta) -> str:
    """Write how long something took, however short: `73 ms`, `12.4 s`, `3 hours`."""
    total = span.total_seconds()
    return seconds(total) if total < _STEPS[1][0] else duration(span)


def days_left(due_at: datetime, now: datetime) -> str:
    """Write how far away a due date is: `12 days left`, `due today`, `3 days overdue`."""
    if due_at < now:
        return f"{duration(now - due_at)} overdue"
    days = (due_at - now) // timedelta(days=1)
    return f"{counted(days, 'day')} left" if days else "due within a day"


def moment(at: datetime | None) -> str:
    """Write a moment to the minute: `21 Nov 2026, 10:05 UTC`."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def clock_time(at: datetime) -> str:
    """Write a moment of a known day to the second: `10:05:09`."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def day(at: datetime) -> str:
    """Write a day: `21 Nov 2026`."""
    return f"{at.astimezone(UTC):%-d %b %Y}"


def size(num_bytes: int) -> str:
    """Write a file's size: 52224 is `52.2 kB`."""
    value, unit = float(num_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
